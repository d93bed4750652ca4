/**
 * `<nova-sonic-talk>`: a voice assistant in one tag. docs/how-to/page.md tells of its attributes, parts and words.
 *
 * What it does not say itself it takes from the script that `{% novasonic_client %}` writes. Its conversation is `nova`,
 * and ends when the element leaves the page.
 */

/** @import { Choices, Details } from "./types.d.ts" */

import { Captions } from "./captions.js";
import { holdable } from "./hold.js";
import { ELEMENT_WORDS } from "./labels.js";
import { LOOK } from "./look.js";
import { fill, make } from "./make.js";
import { Meter } from "./meter.js";
import { NovaSonic } from "./novasonic.js";
import { build } from "./panel.js";

const CLOSED = ["idle", "ended", "failed"];
/** The round of every turn: a screen reader that named them would talk over the answer. */
const ROUND = ["listening", "thinking", "speaking"];
/** So many of the last words stay for a screen reader to go back to. */
const MAX_SAID = 30;

/** Of the script that the template tag writes. */
const given = document.getElementById("novasonic-client")?.dataset ?? {};

export class NovaSonicTalk extends HTMLElement {
  static observedAttributes = ["captions", "figures", "push-to-talk", "sample"];
  /** Where the space bar goes while no element has the focus. @type {NovaSonicTalk | null} */
  static #latest = null;

  /**
   * What `initialize` says beside the attributes, as one-time tickets; a function is asked for each socket.
   *
   * @type {Choices | (() => Choices | Promise<Choices>)}
   */
  choices = {};

  /** @type {Record<string, string>} */
  #words = { ...ELEMENT_WORDS, ...JSON.parse(given.words ?? "{}") };
  /** @type {NovaSonic | undefined} */
  #nova;
  #part;
  #captions;
  #meter;
  /** Takes the listeners back that reach beyond the element. */
  #present = new AbortController();
  /** The start that is under way, be it that the user is being asked. @type {object | null} */
  #starting = null;
  #sampling = false;
  #leaving = false;
  /** How often one left: what fails of that which was begun before is nobody's business. */
  #left = 0;
  #position = 0;
  #state = "idle";
  /** Whose words the notice shows. @type {"" | "condition" | "error" | "action" | "end"} */
  #noticed = "";

  constructor() {
    super();
    const { panel, ...parts } = build(this.#words);
    this.#part = parts;
    const root = this.attachShadow({ mode: "open" });
    root.adoptedStyleSheets = [LOOK];
    root.append(panel);
    this.#captions = new Captions(
      this.#part.captions,
      this.#part.questions,
      (text) => this.#say(text),
      () => this.#words,
    );
    this.#meter = new Meter(this.#part.meter, this.#part.button);
    this.#listen();
  }

  /** The conversation of this element. It is made when first asked for, from the attributes of that moment. */
  get nova() {
    if (!this.#nova) {
      const { words = "{}" } = given;
      const option = (/** @type {string} */ name) =>
        this.getAttribute(name) ?? given[name.replace(/-(.)/g, (_, letter) => letter.toUpperCase())];
      this.#nova = new NovaSonic({
        url: option("url") ?? "/novasonic/ws/",
        choices: () => this.#chosen(),
        words: JSON.parse(words),
        frameMs: this.getAttribute("frame-ms") === "20" ? 20 : 32,
        halfDuplex: this.hasAttribute("half-duplex"),
        captureWorklet: option("capture-worklet"),
        playbackWorklet: option("playback-worklet"),
      });
      this.#nova.pushToTalk = this.hasAttribute("push-to-talk");
      this.#follow(this.#nova);
    }
    return this.#nova;
  }

  connectedCallback() {
    NovaSonicTalk.#latest ??= this;
    this.#present = new AbortController();
    const { signal } = this.#present;
    const { hold, button } = this.#part;
    holdable(hold, {
      everywhere: () => this.nova.pushToTalk && this.#isOpen && NovaSonicTalk.#latest === this,
      also: button,
      tell: (down) => this.#press(down),
      signal,
    });
    navigator.mediaDevices?.addEventListener("devicechange", () => void this.#listDevices(), { signal });
    this.#meter.run(false);
    this.#show();
  }

  disconnectedCallback() {
    this.#present.abort();
    if (NovaSonicTalk.#latest === this) {
      NovaSonicTalk.#latest = null;
    }
    this.#leave();
  }

  /** `moveBefore` keeps the element's state, and so its conversation. */
  connectedMoveCallback() {}

  /** @param {string} name @param {string | null} _ @param {string | null} value */
  attributeChangedCallback(name, _, value) {
    // Before, the attributes may not be complete: the conversation is made from all of them.
    if (this.#nova) {
      if (name === "push-to-talk") {
        this.#nova.pushToTalk = value !== null;
      }
      this.#show();
    }
  }

  get #isOpen() {
    return !CLOSED.includes(this.nova.state);
  }

  async #chosen() {
    /** @type {Record<string, unknown>} */
    const choices = {};
    for (const name of ["voice", "language", "model", "region"]) {
      choices[name] = this.getAttribute(name) ?? undefined;
    }
    return { ...choices, ...(typeof this.choices === "function" ? await this.choices() : this.choices) };
  }

  /** Hear what the user does here. */
  #listen() {
    const { button, push, interrupt, mute, device, composer, text, sample } = this.#part;
    for (const type of ["focusin", "pointerdown"]) {
      this.addEventListener(type, () => (NovaSonicTalk.#latest = this));
    }
    button.addEventListener("click", () => (this.#ends ? this.#leave() : this.#start()));
    push.addEventListener("click", () => {
      this.nova.pushToTalk = !this.nova.pushToTalk;
      this.#show();
    });
    interrupt.addEventListener("click", () => {
      if (interrupt.ariaDisabled !== "true") {
        this.nova.interrupt();
      }
    });
    mute.addEventListener("click", () => {
      this.nova.mute(!this.nova.muted);
      this.#show();
    });
    device.addEventListener("change", () => void this.#attempt(() => this.nova.useDevice(device.value)));
    composer.addEventListener("submit", (event) => {
      event.preventDefault();
      const words = text.value.trim();
      if (words) {
        text.value = "";
        this.#type(words);
      }
    });
    // Buttons of the page within the element: what they hold is typed.
    this.addEventListener("click", (event) => {
      const saying = /** @type {Element} */ (event.target).closest?.("[data-say]");
      if (saying) {
        this.#type(saying.getAttribute("data-say") || saying.textContent.trim());
      }
    });
    sample.addEventListener("click", () => {
      if (this.#sampling) {
        return;
      }
      this.#sampling = true;
      void this.#attempt(async () => {
        const response = await fetch(this.getAttribute("sample") || (given.sample ?? ""));
        if (!response.ok) {
          throw new Error(this.#words.sampleMissing);
        }
        await this.nova.speak(await response.arrayBuffer());
      }).finally(() => {
        this.#sampling = false;
        this.#show();
      });
    });
  }

  /** Hear what the conversation tells. @param {NovaSonic} nova */
  #follow(nova) {
    const captions = this.#captions;
    nova.addEventListener("state", ({ detail }) => this.#enter(detail));
    nova.addEventListener("initialized", () => {
      if (nova.state !== "reconnecting") {
        captions.begin();
      }
    });
    nova.addEventListener("resumed", ({ detail }) => captions.resume(detail.turn));
    nova.addEventListener("queued", ({ detail }) => {
      this.#position = detail.position;
      this.#show();
    });
    nova.addEventListener("error", ({ detail }) => this.#notice(detail.message, "error"));
    nova.addEventListener("transcript", ({ detail }) => captions.add(detail));
    nova.addEventListener("interrupted", ({ detail }) => captions.cut(detail.turn));
    nova.addEventListener("tool", ({ detail }) => captions.tool(detail));
    nova.addEventListener("tool_approval", ({ detail }) => {
      captions.ask(detail, (approve) => nova.approve(detail.id, approve));
    });
    nova.addEventListener("turn_started", () => {
      if (this.#noticed === "error") {
        this.#notice("");
      }
    });
    nova.addEventListener("turn_ended", ({ detail: { responseMs } }) => {
      if (responseMs != null) {
        this.#part.latency.textContent = `${(responseMs / 1000).toFixed(2)} s`;
        this.#show();
      }
    });
    nova.addEventListener("usage", ({ detail: { usd } }) => {
      this.#part.cost.textContent = `$${usd.toFixed(4)}`;
      this.#show();
    });
    nova.addEventListener("level", ({ detail }) => this.#meter.level(detail));
  }

  /** @param {Details["state"]} detail */
  #enter({ state, condition, words }) {
    if (words && !(state === "ended" && this.#leaving)) {
      // What the server said of a failure says more than how the socket ended, and says it in English.
      if (state !== "failed" || this.#noticed !== "error" || given.words) {
        this.#notice(words, condition ? "condition" : "end");
      }
    } else if (!condition && this.#noticed === "condition") {
      this.#notice("");
    }
    if (CLOSED.includes(state)) {
      this.#captions.end();
    }
    this.#meter.run(this.#isOpen);
    this.#show();
    if (state !== this.#state && !(ROUND.includes(state) && ROUND.includes(this.#state))) {
      this.#say(this.#part.state.textContent);
    }
    this.#state = state;
    void this.#listDevices();
  }

  /** Do what the user asked for; what fails is said here. @param {() => Promise<unknown>} action */
  async #attempt(action) {
    const left = this.#left;
    this.#notice("");
    try {
      await action();
    } catch (error) {
      // What ended the conversation was told by its `state`.
      if (left === this.#left && !["ended", "failed"].includes(this.nova.state)) {
        this.#notice(/** @type {Error} */ (error).message, this.nova.condition ? "condition" : "action");
      }
    }
    this.#show();
  }

  #start() {
    const start = (this.#starting = {});
    void this.#attempt(() => this.nova.start()).finally(() => {
      if (start === this.#starting) {
        this.#starting = null;
        this.#show();
      }
    });
    this.#show();
  }

  /** @param {string} text */
  #type(text) {
    const takeBack = this.#captions.typed(text);
    const send = () =>
      this.nova.sendText(text).catch((error) => {
        takeBack();
        this.#part.text.value ||= text; // to be sent again
        throw error;
      });
    void this.#attempt(send);
  }

  /** @param {boolean} down */
  #press(down) {
    const { nova } = this;
    if (!nova.pushToTalk || down === nova.pressed) {
      return;
    }
    nova.press(down);
    this.#show();
    if (down && !nova.listens && !this.#starting) {
      this.#start();
    }
  }

  #leave() {
    this.#left += 1;
    this.#starting = null;
    this.#leaving = true;
    this.#nova?.stop();
    this.#leaving = false;
    this.#show();
  }

  /** Whether a press of the button ends the conversation, or the wait for it. */
  get #ends() {
    const { state, listens } = this.nova;
    return this.#starting !== null || (this.#isOpen && (listens || state === "reconnecting"));
  }

  /** @returns {string} */
  #stateWords() {
    const { state, listens, pushToTalk, pressed, muted } = this.nova;
    const words = this.#words;
    if (state === "listening") {
      const hint = pushToTalk && !pressed ? words.holdHint : muted && !pushToTalk ? words.silent : words.listening;
      return this.#sampling ? words.sampling : listens ? hint : words.ready;
    }
    if (state === "queued") {
      return fill(words.queued, { position: this.#position });
    }
    if (state === "speaking" && !listens) {
      return words.answering;
    }
    return words[this.#starting && !this.#isOpen ? "connecting" : state === "ended" ? "idle" : state];
  }

  #show() {
    const { nova, nova: { state, listens, pushToTalk } } = this; // prettier-ignore
    const { button, hold, push, mute, interrupt, figures, captions, sample, latency, cost } = this.#part;
    const open = this.#isOpen;
    const ends = this.#ends;
    button.dataset.state = state;
    button.toggleAttribute("data-open", ends);
    button.ariaLabel = ends ? this.#words.end : this.#words.talk;
    this.#part.state.textContent = this.#stateWords();
    push.ariaPressed = String(pushToTalk);
    hold.ariaPressed = String(nova.pressed);
    mute.ariaPressed = String(nova.muted);
    interrupt.ariaDisabled = String(state !== "speaking");
    sample.ariaDisabled = String(this.#sampling);
    this.#hide(hold, !pushToTalk);
    this.#hide(mute, !open || !listens || pushToTalk);
    this.#hide(interrupt, !open);
    this.#hide(sample, !this.hasAttribute("sample"));
    this.#hide(captions, this.getAttribute("captions") === "off");
    figures.hidden = !this.hasAttribute("figures") || `${latency.textContent}${cost.textContent}` === "––";
  }

  /** Hide a part, or show it again; the focus does not go down with it. @param {HTMLElement} part @param {boolean} hidden */
  #hide(part, hidden) {
    if (hidden && part.contains(/** @type {ShadowRoot} */ (this.shadowRoot).activeElement)) {
      this.#part.button.focus();
    }
    part.hidden = hidden;
  }

  async #listDevices() {
    const { device } = this.#part;
    const found = await this.nova.devices().catch(() => []);
    const devices = this.nova.listens ? found.filter(({ label }) => label) : [];
    // Built anew it would close under the hand of who chooses.
    if (devices.map(({ id }) => id).join() !== [...device.options].map(({ value }) => value).join()) {
      const chosen = device.value;
      device.replaceChildren(...devices.map(({ id, label }) => make("option", { value: id }, label)));
      device.value = devices.some(({ id }) => id === chosen) ? chosen : device.value;
    }
    this.#hide(device, devices.length < 2);
  }

  /** @param {string} words @param {"condition" | "error" | "action" | "end" | ""} [whose] */
  #notice(words, whose = "") {
    this.#noticed = whose;
    const { notice } = this.#part;
    // Set again, the same words would be read out again.
    if (notice.textContent !== words) {
      notice.textContent = words;
    }
    notice.hidden = !words;
  }

  /** Tell a screen reader, once. @param {string} text */
  #say(text) {
    const { said } = this.#part;
    said.append(make("p", {}, text));
    while (said.childElementCount > MAX_SAID) {
      said.firstElementChild?.remove();
    }
  }
}

customElements.define("nova-sonic-talk", NovaSonicTalk);
