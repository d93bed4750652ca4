/**
 * Whether and when a page comes back to a conversation whose socket was lost, without I/O: times are arguments, in ms.
 *
 * docs/reference/browser-wire.md, "Coming back", says what the server does.
 */

import { isLost } from "./wire.js";

/** Tokens are good for 120 s by default; a server that is back later knows none of them. */
const PATIENCE_MS = 110_000;
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 5_000;

export class Comeback {
  /** The newest resume token. @type {string | null} */
  token = null;
  #random;
  #notBefore = -Infinity;
  /** @type {number | null} */
  #lostAt = null;
  #attempts = 0;

  /** @param {() => number} [random] from 0 to 1 */
  constructor(random = Math.random) {
    this.#random = random;
  }

  /** The server said that it goes away. @param {number} afterMs @param {number} now */
  sentAway(afterMs, now) {
    this.#notBefore = now + afterMs;
  }

  /** The page talks, for the first time or again. */
  arrived() {
    this.#lostAt = null;
    this.#attempts = 0;
    this.#notBefore = -Infinity;
  }

  /** The conversation is over, or another one begins. */
  forget() {
    this.arrived();
    this.token = null;
  }

  /**
   * A socket closed, that of the conversation or that of an attempt to come back to it.
   *
   * @param {number} code
   * @param {boolean} retryable what the last fatal `error` said, if one came
   * @param {number} now
   * @returns {number | null} how long to wait before the next attempt; null: it is over
   */
  lost(code, retryable, now) {
    const coming = this.#lostAt !== null;
    // Meant for this conversation is only what ends it; a worker that takes nobody is not the last one.
    if (this.token === null || !(isLost(code) || (coming && retryable))) {
      return null;
    }
    this.#lostAt ??= now;
    if (now - this.#lostAt > PATIENCE_MS) {
      return null;
    }
    // Spread, for all pages of a worker lose it at once.
    const pause = this.#random() * Math.min(FIRST_PAUSE_MS * 2 ** this.#attempts, LONGEST_PAUSE_MS);
    this.#attempts += 1;
    return Math.max(this.#notBefore - now, pause);
  }
}
