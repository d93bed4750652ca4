/**
 * The queue between the network and the loudspeaker, without Web Audio, so that it can be tested sample by sample.
 *
 * Audio arrives faster than real time; a barge-in must silence it at once.
 */

/** Longest answer that is held; what exceeds it is counted and lost. */
const LIMIT_SECONDS = 180;
/** Held back before an answer starts, so that a late packet is not heard. */
const LEAD_MS = 60;
/** A cut in the middle of a wave clicks. */
const FADE_MS = 5;

/**
 * @import { PlayoutEvent } from "./types.d.ts"
 * @typedef {{turn: number, left: number, ended: boolean}} Run samples of one turn
 */

export class Playout {
  #rate;
  #ring;
  #start = 0;
  #length = 0;
  /** @type {Run[]} runs of samples in the ring, by turn */
  #runs = [];
  #playing = false;
  #fadeLeft = 0;
  #droppedMs = 0;
  /** @type {number | null} */
  #playedTurn = null;
  #playedSamples = 0;
  /** @type {PlayoutEvent[]} */
  #events = [];

  underruns = 0;
  lostMs = 0;

  /** @param {number} rate of the samples in Hz */
  constructor(rate) {
    this.#rate = rate;
    this.#ring = new Float32Array(rate * 8);
  }

  /**
   * @param {number} turn
   * @param {Float32Array} samples
   */
  push(turn, samples) {
    if (this.#length + samples.length > this.#rate * LIMIT_SECONDS) {
      this.lostMs += this.#ms(samples.length);
      return;
    }
    this.#makeRoom(samples.length);
    const at = (this.#start + this.#length) % this.#ring.length;
    const first = Math.min(samples.length, this.#ring.length - at);
    this.#ring.set(samples.subarray(0, first), at);
    this.#ring.set(samples.subarray(first), 0);
    this.#length += samples.length;
    const last = this.#runs.at(-1);
    if (last?.turn === turn) {
      last.left += samples.length;
    } else {
      if (last?.left === 0) {
        this.#runs.pop();
      }
      this.#runs.push({ turn, left: samples.length, ended: false });
    }
  }

  /** No more audio of `turn` will come: running dry is no underrun then. @param {number} turn */
  end(turn) {
    for (const run of this.#runs) {
      run.ended ||= run.turn === turn;
    }
    if (this.#length === 0 && this.#runs.length > 0 && /** @type {Run} */ (this.#runs.at(-1)).ended) {
      this.#drained();
    }
  }

  /**
   * Fade out and forget what was queued; `flushed` follows from `render`. Audio pushed after this is played: the next
   * answer may arrive while the fade still runs.
   */
  flush() {
    const fade = this.#fadeLeft || Math.round((this.#rate * FADE_MS) / 1000);
    const kept = this.#playing ? Math.min(fade, this.#length) : 0;
    this.#droppedMs += this.#ms(this.#length - kept);
    this.#length = kept;
    this.#fadeLeft = kept;
    if (kept > 0) {
      this.#runs = [{ turn: this.#runs[0].turn, left: kept, ended: true }];
    } else {
      this.#flushed();
    }
  }

  /** Fill `out` with what comes next, silence where nothing does. @param {Float32Array} out */
  render(out) {
    if (this.#fadeLeft > 0) {
      this.#renderFade(out);
      return;
    }
    if (!this.#playing && this.#length > 0) {
      const lead = (this.#rate * LEAD_MS) / 1000;
      if (this.#length >= lead || /** @type {Run} */ (this.#runs.at(-1)).ended) {
        this.#playing = true;
        this.#events.push({ type: "playing", turn: this.#runs[0].turn });
      }
    }
    const count = this.#playing ? this.#read(out, out.length) : 0;
    out.fill(0, count);
    if (this.#playing && count < out.length) {
      this.#playing = false;
      if (/** @type {Run} */ (this.#runs.at(-1)).ended) {
        this.#drained();
      } else {
        this.underruns += 1;
      }
    }
  }

  /** @returns {PlayoutEvent[]} what happened since the last call */
  takeEvents() {
    const events = this.#events;
    this.#events = [];
    return events;
  }

  /** @returns {{turn: number, ms: number} | null} how much of the newest turn has been played */
  get played() {
    return this.#playedTurn === null ? null : { turn: this.#playedTurn, ms: this.#ms(this.#playedSamples) };
  }

  get queuedMs() {
    return this.#ms(this.#length);
  }

  /** @param {Float32Array} out */
  #renderFade(out) {
    const total = (this.#rate * FADE_MS) / 1000;
    const count = this.#read(out, Math.min(out.length, this.#fadeLeft));
    for (let index = 0; index < count; index++) {
      out[index] *= (this.#fadeLeft - index) / (total + 1);
    }
    out.fill(0, count);
    this.#fadeLeft -= count;
    if (this.#fadeLeft === 0) {
      this.#flushed();
    }
  }

  #drained() {
    this.#runs.length = 0;
    this.#playing = false;
    this.#events.push({ type: "drained", turn: this.#playedTurn, ms: this.#ms(this.#playedSamples) });
  }

  #flushed() {
    const { turn, ms } = this.played ?? { turn: null, ms: 0 };
    this.#events.push({ type: "flushed", turn, ms, droppedMs: this.#droppedMs });
    this.#droppedMs = 0;
    this.#playing = false;
    this.#runs = this.#length > 0 ? this.#runs.filter((run) => run.left > 0) : [];
  }

  /** @param {Float32Array} out @param {number} wanted */
  #read(out, wanted) {
    const count = Math.min(wanted, this.#length);
    const first = Math.min(count, this.#ring.length - this.#start);
    out.set(this.#ring.subarray(this.#start, this.#start + first));
    out.set(this.#ring.subarray(0, count - first), first);
    this.#start = (this.#start + count) % this.#ring.length;
    this.#length -= count;
    this.#countPlayed(count);
    return count;
  }

  /** @param {number} count */
  #countPlayed(count) {
    while (count > 0) {
      const run = this.#runs[0];
      if (run.turn !== this.#playedTurn) {
        this.#playedTurn = run.turn;
        this.#playedSamples = 0;
      }
      const taken = Math.min(count, run.left);
      run.left -= taken;
      count -= taken;
      this.#playedSamples += taken;
      // The newest run stays, for its turn may go on.
      if (run.left === 0 && this.#runs.length > 1) {
        this.#runs.shift();
      }
    }
  }

  /** @param {number} more */
  #makeRoom(more) {
    let size = this.#ring.length;
    if (this.#length + more <= size) {
      return;
    }
    while (size < this.#length + more) {
      size *= 2;
    }
    const ring = new Float32Array(size);
    const first = Math.min(this.#length, this.#ring.length - this.#start);
    ring.set(this.#ring.subarray(this.#start, this.#start + first));
    ring.set(this.#ring.subarray(0, this.#length - first), first);
    this.#ring = ring;
    this.#start = 0;
  }

  /** @param {number} samples */
  #ms(samples) {
    return (samples * 1000) / this.#rate;
  }
}
