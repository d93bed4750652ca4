"""Every shipped scenario through the Python API, against the whole event sequence it must deliver.

The sequences are written by hand from the protocol reference (sections 2.3 to 2.5) and the API's contract on events,
never recorded from the output. A line is an event, or what the user does next (``> speak``). A text that ends in ``…``
goes on as it likes: how much was heard before the user spoke is a matter of milliseconds.
"""

import asyncio
import json
import math
from array import array

import pytest

import novasonic
from novasonic.emulator import Emulator, scenarios

SPEED = 4.0
"""Of the emulator; the audio itself keeps its length."""

LONG = "He had a big red hat and an old cat and a bad cold and no one to talk to in all of his land."


def user(turn, text, segment=0):
    return [f"Transcript {turn} user final {segment} {text}"]


def plan(turn, segment, text):
    return [f"Transcript {turn} assistant planned {segment} {text}"]


def said(turn, segment, text):
    return [f"Transcript {turn} assistant final {segment} {text}"]


def spoken(turn, text):
    return ["> speak", f"TurnStarted {turn}", *user(turn, text)]


def sentence(turn, segment, text, seconds):
    return [*plan(turn, segment, text), f"AudioOutput {turn} {seconds}"]


def answer(turn, text, seconds=0.6, segment=0):
    return [*sentence(turn, segment, text, seconds), f"TurnEnded {turn}", *said(turn, segment, text)]


def two_turns(first, second, *, seconds=0.6):
    """Two spoken turns with an answer of one sentence each."""
    return [
        *spoken(1, first[0]),
        *answer(1, first[1], seconds),
        *spoken(2, second[0]),
        *answer(2, second[1], seconds),
        *CLOSED,
    ]


CLOSED = ["> close", "SessionEnded closed"]

NOON = [
    *spoken(1, "What time is it?"),
    *sentence(1, 0, "It is noon.", 0.4),
    *sentence(1, 1, "Time to eat.", 0.4),
    "TurnEnded 1",
]

# The user speaks when a second of the second sentence has been heard and a third of it has been sent.
STORY = [
    *spoken(1, "Tell me a long story."),
    *sentence(1, 0, "Once there was a king.", 0.8),
    *plan(1, 1, LONG),
    "AudioOutput 1 *",
    *said(1, 0, "Once there was a king."),
    "AudioOutput 1 3.2+",
    "> interrupt",
    "AudioOutput 1 ?",
]

STOPPED = ["TurnStarted 2", *user(2, "Stop, please."), *answer(2, "I have stopped."), *CLOSED]

# userSpeechStart tells first; what else tells adds nothing, and the turn is over.
BARGE_IN = [*STORY, "Interrupted 1 model", *said(1, 1, "He…"), "TurnEnded 1 interrupted", *STOPPED]

# Nothing tells before the end of a block, which follows what was said.
UNNOTICED = [*STORY, *said(1, 1, "He…"), "Interrupted 1 model", "TurnEnded 1 interrupted", *STOPPED]

OSLO = ["TurnStarted 1", *user(1, "How warm is it in Oslo?"), 'ToolCall 1 getWeather {"city": "Oslo"}']

SCENARIOS = {
    "plain-turn": [*spoken(1, "What time is it?"), *answer(1, "It is noon."), *CLOSED],
    "sentences": [
        *spoken(1, "Tell me about the sea."),
        *sentence(1, 0, "The sea is wide.", 1.6),
        *sentence(1, 1, "It is deep.", 0.4),
        *sentence(1, 2, "It is salty.", 0.4),
        "TurnEnded 1",
        *said(1, 0, "The sea is wide."),
        *said(1, 1, "It is deep."),
        *said(1, 2, "It is salty."),
        *CLOSED,
    ],
    "fragments": [
        *spoken(1, "I would like"),
        *user(1, "a cup of coffee,", 1),
        *user(1, "please.", 2),
        *answer(1, "Here it is."),
        *CLOSED,
    ],
    "barge-in-marker": BARGE_IN,
    "barge-in-old-marker": BARGE_IN,
    "barge-in-text-end": UNNOTICED,
    # The end of the audio looks like that of any turn; that it was cut shows when it is over.
    "barge-in-audio-first": [*STORY, "TurnEnded 1", *said(1, 1, "He…"), "Interrupted 1 model", *STOPPED],
    "barge-in-speech-only": BARGE_IN,
    "barge-in-audio-end": UNNOTICED,
    "no-speech-events": UNNOTICED,
    "tool": [
        "> speak",
        *OSLO,
        '> result getWeather {"celsius": 3}',
        "ToolFinished 1 getWeather ok",
        *answer(1, 'The weather service says {"celsius":3}.'),
        *CLOSED,
    ],
    "tool-double-encoded": [
        "> speak",
        *OSLO,
        '> result getWeather {"celsius": 3}',
        "ToolFinished 1 getWeather ok",
        *answer(1, 'The weather service says {"celsius":3}.'),
        *CLOSED,
    ],
    "tools-chained": [
        *spoken(1, "How warm is it in the capital of Norway?"),
        'ToolCall 1 findCity {"country": "Norway"}',
        '> result findCity {"city": "Oslo"}',
        "ToolFinished 1 findCity ok",
        *sentence(1, 0, "The capital is Oslo, let me look.", 0.6),
        'ToolCall 1 getWeather {"city": "Oslo"}',
        # All that was planned has been said, but a tool runs: the turn goes on.
        *said(1, 0, "The capital is Oslo, let me look."),
        '> result getWeather {"celsius": 3}',
        "ToolFinished 1 getWeather ok",
        *answer(1, "It is 3 degrees there.", segment=1),
        *CLOSED,
    ],
    "tools-parallel": [
        *spoken(1, "How warm and how late is it in Oslo?"),
        'ToolCall 1 getWeather {"city": "Oslo"}',
        'ToolCall 1 getTime {"city": "Oslo"}',
        '> result getTime {"time": "noon"}',
        "ToolFinished 1 getTime ok",
        "> nothing 0.2",
        '> result getWeather {"celsius": 3}',
        "ToolFinished 1 getWeather ok",
        *answer(1, "It is 3 degrees, and noon."),
        *CLOSED,
    ],
    "tool-while-user-speaks": [
        "> speak",
        *OSLO,
        # The assistant has not said anything yet: still one exchange.
        "> speak",
        *user(1, "Are you still there?", 1),
        *sentence(1, 0, "Yes, I am looking.", 0.6),
        "TurnEnded 1",
        '> result getWeather {"celsius": 3}',
        "ToolFinished 1 getWeather ok",
        *said(1, 0, "Yes, I am looking."),
        # The model speaks of itself.
        "TurnStarted 2",
        *answer(2, "It is 3 degrees in Oslo."),
        *CLOSED,
    ],
    "final-late": [
        *NOON,
        "> nothing 1.2",
        "> silence",
        *said(1, 0, "It is noon."),
        *said(1, 1, "Time to eat."),
        *spoken(2, "Thank you."),
        *sentence(2, 0, "You are welcome.", 0.6),
        "TurnEnded 2",
        "> nothing 1.2",
        *CLOSED,
    ],
    "final-next-turn": [
        *NOON,
        "> nothing 0.6",
        *spoken(2, "Thank you."),
        *plan(2, 0, "You are welcome."),
        *said(1, 0, "It is noon."),
        *said(1, 1, "Time to eat."),
        "AudioOutput 2 0.6",
        "TurnEnded 2",
        *CLOSED,
    ],
    "final-never": [
        *NOON,
        "> nothing 0.6",
        *spoken(2, "Thank you."),
        *sentence(2, 0, "You are welcome.", 0.6),
        "TurnEnded 2",
        "> nothing 0.6",
        *CLOSED,
    ],
    "typed-text": [
        "> type Read this.",
        "TurnStarted 1",
        *user(1, "Read this."),
        *answer(1, "I have read that."),
        "> type Goodbye now.",
        "TurnStarted 2",
        *user(2, "Goodbye now."),
        *answer(2, "See you soon."),
        *CLOSED,
    ],
    "first-words": [
        "> prompt Greet the caller.",
        "TurnStarted 1",
        *answer(1, "Welcome, how can I help?"),
        *spoken(2, "I need a room."),
        *answer(2, "We have one left."),
        *CLOSED,
    ],
    "usage": two_turns(("One.", "Two."), ("Three.", "Four."), seconds=0.8),
    "audio-unannounced": [*spoken(1, "Play a note."), "AudioOutput 1 0.6", "TurnEnded 1", *CLOSED],
    "unknown-events": [
        *spoken(1, "What is new?"),
        "UnknownEvent 1 interactionTurnEnd",
        *sentence(1, 0, "Nothing at all.", 0.6),
        "UnknownEvent 1 serviceMetrics",
        *sentence(1, 1, "So it goes on.", 0.4),
        "TurnEnded 1",
        *said(1, 0, "Nothing at all."),
        *said(1, 1, "So it goes on."),
        *CLOSED,
    ],
    "completion-end": two_turns(("One.", "Two."), ("Three.", "Four.")),
    "completion-each-reply": two_turns(("One.", "Two."), ("Three.", "Four.")),
    "text-ends-turn": [
        *spoken(1, "Count to two."),
        *sentence(1, 0, "One.", 0.8),
        *sentence(1, 1, "Two.", 0.4),
        "TurnEnded 1",
        *said(1, 0, "One."),
        *said(1, 1, "Two."),
        *CLOSED,
    ],
    "nothing-ends-turn": [
        *spoken(1, "Count to two."),
        *sentence(1, 0, "One.", 0.8),
        *sentence(1, 1, "Two.", 0.4),
        *said(1, 0, "One."),
        *said(1, 1, "Two."),
        # Only now: all that was planned has been said.
        "TurnEnded 1",
        *spoken(2, "Thank you."),
        *sentence(2, 0, "You are welcome.", 0.6),
        *said(2, 0, "You are welcome."),
        "TurnEnded 2",
        *CLOSED,
    ],
}


def test_every_shipped_scenario_is_in_the_table():
    assert set(SCENARIOS) == set(scenarios())


# Half a second each and more, for what was said is heard at its own pace; `make test` plays them.
SLOW = {
    "barge-in-audio-end",
    "barge-in-audio-first",
    "barge-in-old-marker",
    "barge-in-speech-only",
    "barge-in-text-end",
    "completion-each-reply",
    "completion-end",
    "final-late",
    "final-never",
    "final-next-turn",
    "first-words",
    "no-speech-events",
    "nothing-ends-turn",
    "sentences",
    "usage",
}


def marked(names):
    return [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in names]


@pytest.mark.parametrize("name", marked(SCENARIOS))
async def test_the_whole_sequence_is_delivered(name):
    await play(name, SCENARIOS[name], realtime=False)


# The session paces what it is given and sends silence between; what the user sees must not depend on it.
@pytest.mark.parametrize(
    "name", marked(["plain-turn", "barge-in-marker", "tool", "final-next-turn", "first-words", "usage"])
)
async def test_the_same_with_a_microphone_that_never_stops(name):
    await play(name, SCENARIOS[name], realtime=True)


@pytest.mark.parametrize("order", [("getTime", "getWeather"), ("getWeather", "getTime")])
async def test_results_of_parallel_tools_come_in_any_order(order):
    results = {"getTime": '{"time": "noon"}', "getWeather": '{"celsius": 3}'}
    lines = SCENARIOS["tools-parallel"][:5]
    for name in order:
        lines += [f"> result {name} {results[name]}", f"ToolFinished 1 {name} ok"]
    await play("tools-parallel", [*lines, *answer(1, "It is 3 degrees, and noon."), *CLOSED], realtime=False)


@pytest.mark.parametrize("name", ["tool", "tool-double-encoded"])
async def test_a_function_answers_as_the_hand_does(name):
    called = []

    @novasonic.tool(name="getWeather")
    async def get_weather(city: str) -> dict[str, int]:
        """Tell the weather."""
        called.append(city)
        return {"celsius": 3}

    lines = [line for line in SCENARIOS[name] if not line.startswith("> result")]
    await play(name, lines, realtime=False, tools=[get_weather])
    assert called == ["Oslo"]


async def play(name, lines, *, realtime, tools=None):
    if tools is None:
        schema = {"type": "object", "properties": {"city": {"type": "string"}, "country": {"type": "string"}}}
        # Without a function: the test answers when the scenario wants it.
        names = ("getWeather", "findCity", "getTime")
        tools = [novasonic.Tool.from_schema(name, "For the test.", schema) for name in names]
    async with (
        Emulator(f"scenario:{name}", speed=SPEED) as emulator,
        emulator.client().connect(realtime=realtime, tools=tools) as session,
    ):
        stage = Stage(session)
        for line in lines:
            await stage.line(line)
        with pytest.raises(StopAsyncIteration):
            await anext(stage.events)
        assert stage.usage_events > 0
        assert emulator.streams[0].ended == "clean"


class Stage:
    """Plays the user's part and compares what comes."""

    def __init__(self, session):
        self.session = session
        self.events = aiter(session)
        self.usage_events = 0
        self._total = None
        self._ahead = None
        self._clock = asyncio.get_running_loop().time
        self._playing_until = 0.0
        self._calls = {}
        self._names = {}
        self._closing = None
        self._done = []

    async def line(self, line):
        if line.startswith("> "):
            await self._act(*line[2:].partition(" ")[::2])
        elif line.startswith("AudioOutput "):
            await self._audio(line)
        else:
            seen = self._told(await self._next())
            same = seen.startswith(line[:-1]) if line.endswith("…") else seen == line
            assert same, f"expected {line!r}, got {seen!r} after {self._done}"
        self._done.append(line)

    async def _act(self, verb, rest):
        match verb:
            case "speak" | "interrupt":
                # A session takes what it has received for playing in real time, whatever the emulator's speed: speaking
                # into that would be a barge-in.
                if verb == "speak":
                    await asyncio.sleep(self._playing_until - self._clock() + 0.1)
                await self._send(speech(0.5) + bytes(int(0.7 * 32_000)))
            case "silence":
                await self._send(bytes(3_200))
            case "type":
                await self.session.send_text(rest)
            case "prompt":
                assert await self.session.prompt(rest) == 1
            case "result":
                name, _, content = rest.partition(" ")
                self.session.send_tool_result(self._calls[name], json.loads(content))
            case "nothing":
                assert self._ahead is None, f"{self._ahead} came after {self._done}"
                pending = asyncio.ensure_future(self._next())
                done, _ = await asyncio.wait([pending], timeout=float(rest))
                assert not done, f"{pending.result()} came after {self._done}"
                pending.cancel()
                await asyncio.wait([pending])
            case "close":
                self._closing = asyncio.create_task(self.session.aclose())
            case _:
                raise AssertionError(verb)

    async def _send(self, pcm):
        for start in range(0, len(pcm), 1_024):
            await self.session.send_audio(pcm[start : start + 1_024])

    async def _audio(self, line):
        """Takes a run of audio: so many seconds, as many at least (``+``), one piece or more (``*``), any (``?``)."""
        _, turn, length = line.split()
        seconds, pieces = 0.0, 0
        while not (length.endswith("+") and seconds >= float(length[:-1])):
            event = await self._next()
            if not isinstance(event, novasonic.AudioOutput):
                self._ahead = event
                break
            assert event.turn == int(turn), f"{event} in {line!r} after {self._done}"
            assert event.rate == 24_000
            seconds += event.seconds
            pieces += 1
            self._playing_until = max(self._playing_until, self._clock()) + event.seconds
        if length == "*":
            assert pieces, f"expected {line!r}, got {self._ahead} after {self._done}"
        elif length != "?":
            wanted = float(length.removesuffix("+"))
            enough = seconds >= wanted if length.endswith("+") else math.isclose(seconds, wanted, abs_tol=1e-6)
            assert enough, f"{seconds} s of audio for {line!r}, then {self._ahead} after {self._done}"

    async def _next(self):
        if self._ahead is not None:
            event, self._ahead = self._ahead, None
            return event
        while True:
            event = await anext(self.events)
            if not isinstance(event, novasonic.Usage):
                return event
            self._count(event)

    def _count(self, event):
        """Usage comes at any time; its deltas add up to its total, which only grows."""
        parts = ("speech_in", "text_in", "speech_out", "text_out")
        before = self._total or dict.fromkeys(parts, 0)
        total = {part: getattr(event.total, part) for part in parts}
        assert total == {part: before[part] + getattr(event.delta, part) for part in parts}
        assert event.usd > 0
        self._total = total
        self.usage_events += 1

    def _told(self, event):
        kind = type(event).__name__
        match kind:
            case "Transcript":
                stage = "final" if event.final else "planned"
                return f"Transcript {event.turn} {event.role} {stage} {event.segment} {event.text}"
            case "TurnEnded":
                return f"TurnEnded {event.turn}{' interrupted' if event.interrupted else ''}"
            case "Interrupted":
                return f"Interrupted {event.turn} {event.source}"
            case "ToolCall":
                assert not event.needs_approval
                self._calls[event.name] = event.id
                self._names[event.id] = event.name
                return f"ToolCall {event.turn} {event.name} {json.dumps(dict(event.arguments))}"
            case "ToolFinished":
                assert event.seconds >= 0
                return f"ToolFinished {event.turn} {self._names[event.id]} {'ok' if event.ok else 'failed'}"
            case "UnknownEvent":
                assert event.name in event.raw
                return f"UnknownEvent {event.turn} {event.name}"
            case "SessionEnded":
                assert event.error is None
                return f"SessionEnded {event.reason}"
            case _:
                return f"{kind} {event.turn}"


def speech(seconds, rate=16_000):
    """Something loud enough to be taken for speech."""
    samples = (int(12_000 * math.sin(2 * math.pi * 300 * n / rate)) for n in range(int(seconds * rate)))
    return array("h", samples).tobytes()
