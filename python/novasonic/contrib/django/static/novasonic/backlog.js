/**
 * What the user says while nothing can be sent: kept, and sent as fast as the server takes it. Words are kept and
 * silence is left out, so that the conversation catches up.
 *
 * Times are arguments. They count, not frames: a page that stalled gets the frames of that time at once.
 * docs/reference/browser-wire.md, "How much a page may send", has the caps behind the figures.
 */

/** @import { Frame } from "./types.d.ts" */

const LONGEST_MS = 30_000;
/** The server takes 3 s at once, then 1.25 times real time. */
const AT_ONCE_MS = 2_000;
const CATCH_UP = 1.2;
/** Kept of a pause: word ends are quiet, and the service hears the end of speech by silence. */
const PAUSE_MS = 400;
const QUIET_RMS = 0.003;

export class Backlog {
  #frameMs;
  /** @type {ArrayBuffer[]} */
  #frames = [];
  #quietMs = 0;
  #creditMs = 0;
  #takenAt = 0;

  /** @param {number} frameMs */
  constructor(frameMs) {
    this.#frameMs = frameMs;
  }

  /** @param {Frame} frame @returns {number} how many frames have become too old */
  push({ pcm, level }) {
    this.#quietMs = level < QUIET_RMS ? this.#quietMs + this.#frameMs : 0;
    if (this.#quietMs > PAUSE_MS && this.#frames.length > 0) {
      return 0;
    }
    this.#frames.push(pcm);
    return this.#frames.splice(0, this.#frames.length - LONGEST_MS / this.#frameMs).length;
  }

  /** The server takes audio, for the first time or again. @param {number} now ms */
  open(now) {
    this.#takenAt = now;
    this.#creditMs = AT_ONCE_MS;
  }

  /** @param {number} now ms @returns {ArrayBuffer[]} what may be sent now */
  take(now) {
    this.#creditMs = Math.min(this.#creditMs + CATCH_UP * (now - this.#takenAt), AT_ONCE_MS);
    this.#takenAt = now;
    const count = Math.min(this.#frames.length, Math.floor(this.#creditMs / this.#frameMs));
    this.#creditMs -= count * this.#frameMs;
    return this.#frames.splice(0, count);
  }

  forget() {
    this.#frames = [];
    this.#quietMs = 0;
  }
}
