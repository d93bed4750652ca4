"""What the page says to its users, for translators: the twin of ``words.js`` and ``labels.js``.

The scripts hold the English words themselves and work without these; a page in another language gets its own through
``{% novasonic_client %}``. A test compares the twins.
"""

from __future__ import annotations

from django.utils.translation import gettext, gettext_noop

WORDS = {
    # words.js: conditions, and how a connection ended, by the WebSocket's close code.
    "1000": gettext_noop("The conversation has ended."),
    "1001": gettext_noop("The server goes away. Start again in a moment."),
    "1005": gettext_noop("The conversation has ended."),
    "1006": gettext_noop("The connection was lost."),
    "1009": gettext_noop("The connection was closed: too much was sent at once."),
    "1012": gettext_noop("The server restarts. Start again in a moment."),
    "4400": gettext_noop("This page and the server did not understand each other. Reload the page."),
    "4401": gettext_noop("Sign in to talk."),
    "4403": gettext_noop("You may not talk here."),
    "4408": gettext_noop("Nobody spoke for a while, so the conversation was closed."),
    "4409": gettext_noop("The conversation goes on in another window."),
    "4413": gettext_noop("The connection was closed: too much was sent at once."),
    "4429": gettext_noop("Too many at once. Try again later."),
    "4500": gettext_noop("The voice service failed."),
    "4503": gettext_noop("Too many people are talking right now. Try again soon."),
    "insecure": gettext_noop(
        "Browsers allow voice only on https or localhost, and this page is neither. You can still type and read."
    ),
    "denied": gettext_noop(
        "The microphone is blocked for this page. Allow it in the address bar and press again, or type."
    ),
    "missing": gettext_noop("No microphone was found. Connect one and press again, or type."),
    "busy": gettext_noop("The microphone could not be opened; another program may be using it. You can still type."),
    "unplugged": gettext_noop("The microphone is gone. Connect one to be heard again, or type."),
    "changed": gettext_noop("Another microphone is in use now."),
    "offline": gettext_noop("This device is offline. The conversation goes on once it is back."),
    "hidden": gettext_noop("The conversation goes on while you are elsewhere."),
    "lost": gettext_noop("The connection was lost, and the conversation with it. Start again."),
    "misunderstood": gettext_noop("This page and the server did not understand each other. Reload the page."),
    "closed": gettext_noop("The connection was closed."),
    # labels.js: what the element says.
    "talk": gettext_noop("Talk"),
    "end": gettext_noop("End the conversation"),
    "idle": gettext_noop("Press and talk"),
    "connecting": gettext_noop("Connecting…"),
    "queued": gettext_noop("Waiting for a free line. Number in the queue: {position}"),
    "listening": gettext_noop("Listening"),
    "thinking": gettext_noop("Thinking…"),
    "speaking": gettext_noop("Speaking. Talk over it to stop it."),
    "reconnecting": gettext_noop("The connection was lost. Coming back…"),
    "failed": gettext_noop("Press to try again"),
    "ready": gettext_noop("Ready. Type, or press to talk."),
    "answering": gettext_noop("Speaking"),
    "silent": gettext_noop("You are muted."),
    "sampling": gettext_noop("The sample voice is asking for you."),
    "sampleMissing": gettext_noop("The sample voice could not be loaded."),
    "controls": gettext_noop("Controls"),
    "push": gettext_noop("Push to talk"),
    "pushHint": gettext_noop("Be heard only while you hold the button or the space bar"),
    "holdHint": gettext_noop("Hold the button or the space bar to talk"),
    "hold": gettext_noop("Hold to talk"),
    "mute": gettext_noop("Mute"),
    "interrupt": gettext_noop("Stop the answer"),
    "device": gettext_noop("Microphone"),
    "latency": gettext_noop("Answered after"),
    "cost": gettext_noop("Cost so far"),
    "captions": gettext_noop("Captions"),
    "empty": gettext_noop("What you say, and the answer, appear here."),
    "you": gettext_noop("You"),
    "answer": gettext_noop("Answer"),
    "cut": gettext_noop("interrupted"),
    "toolCalled": gettext_noop("Looking up: {name} …"),
    "toolDone": gettext_noop("Looked up: {name}"),
    "toolAllowed": gettext_noop("Done: {name}"),
    "toolFailed": gettext_noop("Not done: {name}"),
    "ask": gettext_noop("May this be done? {name}"),
    "yes": gettext_noop("Yes"),
    "no": gettext_noop("No"),
    "type": gettext_noop("Type instead of talking"),
    "send": gettext_noop("Send"),
    "sample": gettext_noop("Use the sample voice"),
    "sampleHint": gettext_noop("For those without a microphone: a recording asks for you"),
}


def translated_words() -> dict[str, str]:
    """Return the words that the active language says differently, by the scripts' keys."""
    words = {key: gettext(english) for key, english in WORDS.items()}
    return {key: said for key, said in words.items() if said != WORDS[key]}
