/** The stock page: joins one NovaSonic to the elements of templates/novasonic/talk.html. */

import { MicrophoneError, NovaSonic } from "./novasonic.js";
import { Transcript } from "./transcript.js";
import { Wave } from "./wave.js";

const STATE_WORDS = {
  idle: "Press and talk",
  connecting: "Connecting…",
  queued: "Waiting for a free line…",
  reconnecting: "The connection was lost. Coming back…",
  listening: "Listening",
  thinking: "Thinking…",
  speaking: "Speaking. Talk over it to stop it.",
  ended: "Press and talk",
  failed: "Press to try again",
};
const HOLD_WORDS = "Hold the button or the space bar to talk";
const SAMPLE_WORDS = "The sample voice is asking for you";
const TAKES_SPACE = "input, textarea, select, button, a, [contenteditable]";
const UNHEARD_WORDS = { ...STATE_WORDS, listening: "Ready. Type, or press to talk.", speaking: "Speaking" };

/**
 * The elements of a page, by `data-part`.
 *
 * @typedef {Record<"transcript" | "talk" | "notice" | "talk-label" | "state" | "push" | "hold" | "mute" | "meters"
 *   | "latency" | "cost" | "form", HTMLElement> & Record<"interrupt" | "sample", HTMLButtonElement>
 *   & {wave: HTMLCanvasElement, text: HTMLInputElement}} Parts
 */

/** @param {HTMLElement} page an element that holds the parts, with `{% novasonic_attributes %}` */
function talk(page) {
  /**
   * @template {keyof Parts} N
   * @param {N} name
   */
  const part = (name) => /** @type {Parts[N]} */ (page.querySelector(`[data-part="${name}"]`));
  const { socket, captureWorklet, playbackWorklet, sample } = /** @type {Record<string, string>} */ (page.dataset);
  const conversation = new NovaSonic({ url: socket, captureWorklet, playbackWorklet });
  const transcript = new Transcript(part("transcript"));
  const wave = new Wave(part("wave"), part("talk"), conversation);
  let sampling = false;

  /** @param {string} words */
  const notice = (words) => {
    part("notice").textContent = words;
    part("notice").hidden = !words;
  };
  /** @param {boolean} open */
  const words = (open) => {
    const { state, listens, pushToTalk, pressed } = conversation;
    if (sampling && state === "listening") {
      return SAMPLE_WORDS;
    }
    if (open && listens && pushToTalk && !pressed && state === "listening") {
      return HOLD_WORDS;
    }
    return (listens || !open ? STATE_WORDS : UNHEARD_WORDS)[state];
  };
  const show = () => {
    const { state, listens } = conversation;
    const open = !["idle", "ended", "failed"].includes(state);
    part("talk").dataset.state = state;
    part("talk").toggleAttribute("data-open", open && listens);
    part("talk-label").textContent = open && listens ? "End the conversation" : "Talk";
    part("state").textContent = words(open);
    part("push").setAttribute("aria-pressed", String(conversation.pushToTalk));
    part("hold").hidden = !conversation.pushToTalk;
    part("hold").setAttribute("aria-pressed", String(conversation.pressed));
    part("mute").hidden = !open || !listens || conversation.pushToTalk;
    part("interrupt").hidden = !open;
    part("interrupt").disabled = state !== "speaking";
  };
  /** @param {"latency" | "cost"} name @param {string} text */
  const meter = (name, text) => {
    part(name).textContent = text;
    part("meters").hidden = false;
  };
  /** Do what the user asked for; what fails is said on the page. @param {() => Promise<unknown>} action */
  const attempt = async (action) => {
    notice("");
    try {
      await action();
    } catch (error) {
      // What broke the conversation was told by its `state`.
      if (error instanceof MicrophoneError || conversation.state !== "failed") {
        notice(/** @type {Error} */ (error).message);
      }
    }
    show();
  };

  conversation.addEventListener("state", ({ detail: { state, words } }) => {
    notice(words || part("notice").textContent || "");
    if (state === "ended" || state === "failed") {
      transcript.end();
    }
    wave.run(conversation.playback !== null || state === "connecting");
    show();
  });
  conversation.addEventListener("initialized", () => {
    if (conversation.state !== "reconnecting") {
      transcript.begin();
    }
  });
  conversation.addEventListener("resumed", ({ detail }) => transcript.resume(detail.turn));
  conversation.addEventListener("error", ({ detail }) => notice(detail.message));
  conversation.addEventListener("transcript", ({ detail }) => transcript.add(detail));
  conversation.addEventListener("interrupted", ({ detail }) => transcript.cut(detail.turn));
  conversation.addEventListener("tool", ({ detail }) => transcript.tool(detail));
  conversation.addEventListener("tool_approval", ({ detail }) => {
    transcript.ask(detail, (approve) => conversation.approve(detail.id, approve));
  });
  conversation.addEventListener("turn_ended", ({ detail: { responseMs } }) => {
    if (responseMs != null) {
      meter("latency", `${(responseMs / 1000).toFixed(2)} s`);
    }
  });
  conversation.addEventListener("usage", ({ detail: { usd } }) => meter("cost", `$${usd.toFixed(4)}`));
  conversation.addEventListener("level", ({ detail }) => wave.level(detail.level));

  part("talk").addEventListener("click", () => {
    if ((conversation.open && conversation.listens) || conversation.state === "reconnecting") {
      conversation.stop();
    } else if (conversation.state !== "connecting") {
      void attempt(() => conversation.start());
    }
  });
  part("push").addEventListener("click", () => {
    conversation.pushToTalk = !conversation.pushToTalk;
    show();
  });
  holdable(part("hold"), (down) => {
    if (!conversation.pushToTalk || down === conversation.pressed) {
      return;
    }
    conversation.press(down);
    show();
    if (down && !conversation.listens && conversation.state !== "connecting") {
      void attempt(() => conversation.start());
    }
  });
  part("interrupt").addEventListener("click", () => conversation.interrupt());
  part("mute").addEventListener("click", () => {
    conversation.mute(!conversation.muted);
    part("mute").setAttribute("aria-pressed", String(conversation.muted));
    part("mute").textContent = conversation.muted ? "Unmute" : "Mute";
  });

  /** @param {string} text */
  const type = (text) => {
    transcript.typed(text);
    void attempt(() => conversation.sendText(text));
  };
  part("form").addEventListener("submit", (event) => {
    event.preventDefault();
    const text = part("text").value.trim();
    if (text) {
      part("text").value = "";
      type(text);
    }
  });
  for (const button of /** @type {NodeListOf<HTMLElement>} */ (page.querySelectorAll("[data-phrase]"))) {
    button.addEventListener("click", () => type(/** @type {string} */ (button.dataset.phrase)));
  }

  /** @param {boolean} on */
  const showSampling = (on) => {
    sampling = on;
    part("sample").disabled = on;
    show();
  };
  part("sample").addEventListener("click", () => {
    showSampling(true);
    void attempt(async () => {
      const response = await fetch(sample);
      if (!response.ok) {
        throw new Error("The sample voice could not be loaded.");
      }
      await conversation.speak(await response.arrayBuffer());
    }).finally(() => showSampling(false));
  });

  window.addEventListener("pagehide", () => conversation.stop());
  show();
  return conversation;
}

/**
 * Tell when a button is held by pointer or key, or the space bar where it neither types nor presses anything else.
 *
 * @param {HTMLElement} button
 * @param {(down: boolean) => void} tell
 */
function holdable(button, tell) {
  /** @param {EventTarget | null} target */
  const isTaken = (target) => target !== button && /** @type {Partial<Element>} */ (target).closest?.(TAKES_SPACE) != null;
  /** @param {KeyboardEvent} event */
  const isKey = ({ key, target }) => (key === " " && !isTaken(target)) || (key === "Enter" && target === button);
  button.addEventListener("pointerdown", (event) => {
    button.setPointerCapture(event.pointerId);
    tell(true);
  });
  for (const type of ["pointerup", "pointercancel", "lostpointercapture"]) {
    button.addEventListener(type, () => tell(false));
  }
  document.addEventListener("keydown", (event) => {
    if (isKey(event) && !button.hidden) {
      event.preventDefault();
      tell(true);
    }
  });
  document.addEventListener("keyup", (event) => {
    // Wherever the focus went meanwhile: a microphone must not stay open.
    if (event.key === " " || event.key === "Enter") {
      tell(false);
    }
  });
  window.addEventListener("blur", () => tell(false));
}

/** @type {NodeListOf<HTMLElement & {conversation?: NovaSonic}>} */
const pages = document.querySelectorAll("[data-novasonic]");
for (const page of pages) {
  // For the console and for tests.
  page.conversation = talk(page);
}
