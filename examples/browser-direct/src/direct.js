/**
 * One stream of Amazon Nova Sonic, from the page's side, without I/O: what comes in are the service's events and the
 * time, what goes out are events to send and news to show. It knows neither sockets nor sound.
 */

import { Turns } from "./turns.js";

/** @import { Counts, Turn } from "./turns.js" */
/**
 * @typedef {Record<string, any>} ServiceEvent `{name: {...}}`, without the `event` around it
 * @typedef {"closed" | "limit" | "gone" | "error"} Reason
 * @typedef {{type: "transcript", role: "user" | "assistant", text: string, turn: number}
 *   | {type: "turn_started", turn: number}
 *   | {type: "turn_ended", turn: number, interrupted: boolean}
 *   | {type: "interrupted", turn: number}
 *   | {type: "audio", turn: number, base64: string}
 *   | {type: "usage", turn: number, counts: Counts}
 *   | {type: "ending", seconds: number}
 *   | {type: "ended", reason: Reason}} News a `transcript` is all that this role has said in this turn so far
 */

/** A stream of the service lives no longer. */
export const LIMIT_MS = 480_000;
/** The user is told so long before. */
const WARNING_MS = 30_000;
/** Ended in order rather than cut off. */
const MARGIN_MS = 5_000;
/** How long the service may take to say its last words once it was told that it is over. */
const GOODBYE_MS = 2_000;
/** One text event of some 32 kB was refused; characters may take four bytes each. */
const PROMPT_CHARS = 1_000;
const SILENCE_MS = 100;
/** What is said before the stream is open is kept, five seconds of it in frames of 32 ms. */
const MAX_EARLY = 150;

const sound = (/** @type {number} */ sampleRateHertz) => ({
  mediaType: "audio/lpcm",
  sampleRateHertz,
  sampleSizeBits: 16,
  channelCount: 1,
  encoding: "base64",
  audioType: "SPEECH",
});

export class DirectSession {
  /** @type {"new" | "open" | "closing" | "ended"} */
  state = "new";
  #turns;
  #options;
  #promptName;
  #microphone;
  /** @type {ServiceEvent[]} */
  #outgoing = [];
  /** @type {News[]} */
  #news = [];
  #openedAt = 0;
  #closedAt = 0;
  #warned = false;
  #heardUser = false;
  /** @type {string[]} */
  #early = [];
  /** @type {Reason} */
  #reason = "gone";

  /**
   * @param {{system: string, voice: string, inputRate?: number, outputRate?: number, newId?: () => string}} options
   */
  constructor({ system, voice, inputRate = 16_000, outputRate = 24_000, newId = () => crypto.randomUUID() }) {
    this.#options = { system, voice, inputRate, outputRate, newId };
    this.#promptName = newId();
    this.#microphone = { promptName: this.#promptName, contentName: newId() };
    this.#turns = new Turns(outputRate, (news) => this.#news.push(news));
  }

  /** @returns {ServiceEvent[]} what is to be sent, in this order; each is given once */
  takeOutgoing() {
    return this.#outgoing.splice(0);
  }

  /** @returns {News[]} what has happened; each is given once */
  takeNews() {
    return this.#news.splice(0);
  }

  /** @param {number} number @returns {Turn | undefined} */
  turn(number) {
    return this.#turns.get(number);
  }

  /** Say what the conversation is to be; the microphone may follow at once. @param {number} nowMs */
  open(nowMs) {
    if (this.state !== "new") {
      throw new Error("A stream is opened once; make another DirectSession.");
    }
    const { system, voice, inputRate, outputRate, newId } = this.#options;
    const promptName = this.#promptName;
    this.state = "open";
    this.#openedAt = nowMs;
    this.#send({ sessionStart: { inferenceConfiguration: { maxTokens: 1024, topP: 0.9, temperature: 0.7 } } });
    this.#send({
      promptStart: {
        promptName,
        textOutputConfiguration: { mediaType: "text/plain" },
        audioOutputConfiguration: { ...sound(outputRate), voiceId: voice },
      },
    });
    const block = { promptName, contentName: newId() };
    this.#send({
      contentStart: {
        ...block,
        type: "TEXT",
        interactive: false,
        role: "SYSTEM",
        textInputConfiguration: { mediaType: "text/plain" },
      },
    });
    const letters = [...system];
    for (let at = 0; at < letters.length; at += PROMPT_CHARS) {
      this.#send({ textInput: { ...block, content: letters.slice(at, at + PROMPT_CHARS).join("") } });
    }
    this.#send({ contentEnd: block });
    this.#send({
      contentStart: {
        ...this.#microphone,
        type: "AUDIO",
        interactive: true,
        // Without it the model stays mute, and says no word about it.
        role: "USER",
        audioInputConfiguration: sound(inputRate),
      },
    });
    this.#early.splice(0).forEach((base64) => this.audio(base64));
  }

  /** The user's sound, silence too: the service ends a stream that gets none. @param {string} base64 PCM16 */
  audio(base64) {
    if (this.state === "new") {
      this.#early.push(base64);
      this.#early.splice(0, this.#early.length - MAX_EARLY);
    } else if (this.state === "open") {
      this.#heardUser = true;
      this.#send({ audioInput: { ...this.#microphone, content: base64 } });
    }
  }

  /** Take what the service sent; unknown events are ignored. @param {ServiceEvent} event @param {number} nowMs */
  receive(event, nowMs) {
    if (this.state === "ended") {
      return;
    }
    this.#turns.receive(event, nowMs - this.#openedAt);
    if (event.completionEnd && this.state === "closing") {
      this.#end();
    }
  }

  /** So much of a turn's answer has been played. @param {number} number @param {number} ms */
  heard(number, ms) {
    this.#turns.heard(number, ms);
  }

  /** Call now and then: eight minutes are over without the service saying so before. @param {number} nowMs */
  tick(nowMs) {
    const age = nowMs - this.#openedAt;
    if (this.state === "open" && age >= LIMIT_MS - MARGIN_MS) {
      this.close(nowMs, "limit");
    } else if (this.state === "open" && age >= LIMIT_MS - WARNING_MS && !this.#warned) {
      this.#warned = true;
      this.#news.push({ type: "ending", seconds: Math.ceil((LIMIT_MS - MARGIN_MS - age) / 1000) });
    } else if (this.state === "closing" && nowMs - this.#closedAt >= GOODBYE_MS) {
      this.#end();
    }
  }

  /** End in order; the service still says what it used. @param {number} nowMs @param {Reason} [reason] */
  close(nowMs, reason = "closed") {
    if (this.state === "new") {
      this.#reason = reason;
      this.#end();
    } else if (this.state === "open") {
      this.state = "closing";
      this.#closedAt = nowMs;
      this.#reason = reason;
      if (!this.#heardUser) {
        // The service refuses to end a block in which nothing came.
        const silence = new Uint8Array((this.#options.inputRate * 2 * SILENCE_MS) / 1000);
        this.#send({ audioInput: { ...this.#microphone, content: btoa(String.fromCharCode(...silence)) } });
      }
      this.#send({ contentEnd: this.#microphone });
      this.#send({ promptEnd: { promptName: this.#promptName } });
      this.#send({ sessionEnd: {} });
    }
  }

  /** The stream is gone, whoever ended it; what was said until then stays. @param {Reason} [reason] */
  lost(reason = "gone") {
    if (this.state === "ended") {
      return;
    }
    if (this.state !== "closing") {
      this.#reason = reason;
    }
    this.#end();
  }

  #end() {
    this.state = "ended";
    this.#turns.close();
    this.#news.push({ type: "ended", reason: this.#reason });
  }

  /** @param {ServiceEvent} event */
  #send(event) {
    this.#outgoing.push(event);
  }
}
