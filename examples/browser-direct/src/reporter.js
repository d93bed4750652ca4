/** Tells the server what a ledger holds: one report at a time, again where it did not arrive. */

import { Refused } from "./server.js";

/** @import { Ledger } from "./ledger.js" */

/** Changes gather for so long: the server takes 60 reports a minute. */
const GATHER_MS = 1_500;
const RETRY_MS = 3_000;

export class Reporter {
  #ledger;
  #send;
  /** @type {ReturnType<typeof setTimeout> | 0} */
  #timer = 0;
  #sending = false;
  #refused = false;

  /**
   * @param {Ledger} ledger
   * @param {(report: object, leaving?: boolean) => Promise<void>} send throws `Refused`, or whatever a network throws
   */
  constructor(ledger, send) {
    this.#ledger = ledger;
    this.#send = send;
  }

  /** The ledger holds something new. */
  changed(afterMs = GATHER_MS) {
    if (!this.#timer && !this.#sending && !this.#refused) {
      this.#timer = setTimeout(() => void this.#report(), afterMs);
    }
  }

  /** The page is left: say all of it now, without an answer to wait for. */
  leave() {
    clearTimeout(this.#timer);
    const next = this.#refused ? null : this.#ledger.next();
    if (next) {
      this.#send(next.report, true).catch(() => {});
    }
  }

  async #report() {
    this.#timer = 0;
    const next = this.#ledger.next();
    if (!next) {
      return;
    }
    this.#sending = true;
    let againMs = GATHER_MS;
    try {
      await this.#send(next.report);
      next.acknowledge();
    } catch (error) {
      againMs = (error instanceof Refused && error.retryAfterMs) || RETRY_MS;
      // Not signed in, deleted, over, malformed: it would be refused again.
      this.#refused = error instanceof Refused && !error.retryAfterMs;
    }
    this.#sending = false;
    if (!this.#ledger.settled) {
      this.changed(againMs);
    }
  }
}
