/** The answer that is playing: its turn, what of it was silenced, and how much of it was heard. */

/** @import { PlaybackReport } from "./types.d.ts" */
/** @import { Playback } from "./playback.js" */

/**
 * @typedef {{
 *   play: (order: (playback: Playback) => void) => void,
 *   heard: (turn: number, ms: number) => void,
 *   speaks: (speaks: boolean) => void,
 *   flushed: (ms: number) => void,
 * }} Listener `heard` is cumulative: a smaller figure than one told before changes nothing
 */

export class Answer {
  #tell;
  #turn = 0;
  #silenced = 0;
  /** The turn whose flush has not been reported yet. */
  #cut = 0;
  #flushAskedAt = 0;

  /** @param {Listener} listener */
  constructor(listener) {
    this.#tell = listener;
  }

  /** @param {number} turn */
  begin(turn) {
    // Whoever begins a new turn has stopped listening to the old one.
    this.#flush();
    this.#turn = turn;
  }

  /** The conversation goes on after `turn`. @param {number} turn */
  resume(turn) {
    if (this.#turn > turn) {
      // Its answer was cut in two; the user asks again.
      this.#tell.play((playback) => playback.flush());
    }
    this.#turn = turn;
    this.#silenced = 0;
  }

  /** @param {ArrayBuffer} pcm */
  push(pcm) {
    const turn = this.#turn;
    if (turn !== this.#silenced) {
      this.#tell.play((playback) => playback.push(turn, pcm));
    }
  }

  /** @param {number} turn */
  end(turn) {
    this.#tell.play((playback) => playback.end(turn));
  }

  /** Of an older turn nothing is left: the next one's start has silenced it. @param {number} turn */
  interrupted(turn) {
    if (turn === this.#turn) {
      this.#flushAskedAt = performance.now();
      this.#flush();
    }
  }

  /** The user wants no more of it, whatever still comes. */
  silence() {
    this.#silenced = this.#turn;
    this.#flush();
  }

  /** @param {PlaybackReport} report */
  reported(report) {
    if (report.type === "playing") {
      this.#tell.speaks(true);
      return;
    }
    if (report.type === "flushed") {
      if (report.turn !== this.#cut) {
        this.#heard(this.#cut, 0);
      }
      this.#cut = 0;
      if (this.#flushAskedAt) {
        this.#tell.flushed(performance.now() - this.#flushAskedAt);
        this.#flushAskedAt = 0;
      }
    }
    this.#heard(report.turn, report.ms);
    if (report.type !== "played") {
      this.#tell.speaks(false);
    }
  }

  /** How much of the turn was heard follows, be it nothing. */
  #flush() {
    this.#cut = this.#turn;
    this.#tell.play((playback) => playback.flush());
  }

  /** @param {number | null} turn @param {number} ms */
  #heard(turn, ms) {
    if (turn) {
      this.#tell.heard(turn, ms);
    }
  }
}
