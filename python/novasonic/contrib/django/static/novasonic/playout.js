/** The queue between network and loudspeaker, without Web Audio: to be tested sample by sample. */

/** @import { PlaybackReport } from "./types.d.ts" */

/** What exceeds it is counted and lost. */
const LIMIT_MS = 180_000;
/** A cut in the middle of a wave clicks. */
const FADE_MS = 5;
/** The server takes `played` four times a second. */
const REPORT_MS = 250;
/** Held back before an answer starts, so that a late packet is not heard. */
const LEAST_LEAD_MS = 40;
const MOST_LEAD_MS = 400;
const SPARE_MS = 20;
/** A lead that was needed stays this long; then each answer starts a little sooner. */
const HOLD_MS = 60_000;
const SHRINK = 0.8;
/** Nothing for so long is no late packet but a speaker who waits for a tool; no lead would help. */
const PAUSE_MS = 1000;

export class Playout {
  underruns = 0;
  lostMs = 0;
  leadMs = LEAST_LEAD_MS;

  #perMs;
  #tell;
  /** @type {{turn: number, samples: Float32Array}[]} */
  #queue = [];
  #length = 0;
  #playing = false;
  /** What still sounds of an answer that was cut. */
  #tail = new Float32Array(0);
  #droppedMs = 0;
  /** @type {number | null} */
  #turn = null;
  #played = 0;
  #reported = 0;
  #reportedAtMs = 0;
  #endedTurn = -1;
  /** The turn that arrives; what compares with NaN is false. */
  #arriving = NaN;
  #arrivedAtMs = 0;
  /** The audio clock. */
  #nowMs = 0;
  /** When the next packet is due, were the first played as it came. */
  #dueMs = 0;
  /** How much sooner than in real time the lead had come: a stall may use that up too. */
  #aheadMs = 0;
  #heldUntilMs = 0;

  /** @param {number} rate of the samples in Hz @param {(report: PlaybackReport) => void} tell */
  constructor(rate, tell) {
    this.#perMs = rate / 1000;
    this.#tell = tell;
  }

  /** @param {number} turn @param {Float32Array} samples */
  push(turn, samples) {
    const ms = samples.length / this.#perMs;
    if (this.queuedMs + ms > LIMIT_MS) {
      this.lostMs += ms;
      return;
    }
    this.#learn(turn);
    this.#dueMs += ms;
    this.#add(turn, samples);
  }

  /**
   * No more audio of `turn` will come.
   *
   * @param {number} turn
   * @param {Float32Array} [rest] its last samples; by themselves, after silence, they would be a noise
   */
  end(turn, rest) {
    this.#endedTurn = Math.max(this.#endedTurn, turn);
    if (rest && this.#length) {
      this.#add(turn, rest);
    }
    if (!this.#length && this.#over) {
      this.#drain();
    }
  }

  /** Fade out and forget what is queued; `flushed` follows. The next answer may arrive while the fade still runs. */
  flush() {
    if (this.#playing) {
      const tail = new Float32Array(Math.round(FADE_MS * this.#perMs));
      const count = this.#read(tail);
      this.#tail = tail.slice(0, count).map((sample, index) => (sample * (count - index)) / (count + 1));
    }
    this.#droppedMs += this.queuedMs;
    this.#queue = [];
    this.#length = 0;
    this.#playing = false;
    this.#arriving = NaN;
    this.#endedTurn = -1; // after a loss of the connection a turn may be said again
    if (!this.#tail.length) {
      this.#flushed();
    }
  }

  /** Fill `out` with what comes next, silence where nothing does. @param {Float32Array} out */
  render(out) {
    out.fill(0);
    if (this.#tail.length) {
      out.set(this.#tail.subarray(0, out.length));
      this.#tail = this.#tail.subarray(out.length);
      if (!this.#tail.length) {
        this.#flushed();
      }
    } else {
      this.#play(out);
    }
    this.#nowMs += out.length / this.#perMs;
    if (this.#nowMs - this.#reportedAtMs >= REPORT_MS) {
      this.#reportPlayed();
    }
  }

  get queuedMs() {
    return this.#length / this.#perMs;
  }

  /** Whether what is queued is all there will be. */
  get #over() {
    return this.#arriving <= this.#endedTurn;
  }

  /** @param {number} turn @param {Float32Array} samples */
  #add(turn, samples) {
    this.#queue.push({ turn, samples });
    this.#length += samples.length;
  }

  /** @param {Float32Array} out */
  #play(out) {
    const begins =
      !this.#playing &&
      this.#length > 0 &&
      // A last word is not kept back for what does not come.
      (this.#over || Math.max(this.queuedMs, this.#nowMs - this.#arrivedAtMs) >= this.leadMs);
    if (begins) {
      this.#playing = true;
      this.#aheadMs = Math.max(0, this.#dueMs - this.#nowMs);
    }
    if (this.#playing) {
      const count = this.#read(out);
      if (begins) {
        this.#report("playing");
      }
      if (count < out.length) {
        this.#playing = false;
        if (this.#over) {
          this.#drain();
        }
      }
    }
  }

  /** Ask how late a packet is, and what lead would have hidden that. @param {number} turn */
  #learn(turn) {
    const now = this.#nowMs;
    const dry = !this.#playing && !this.#length;
    if (turn !== this.#arriving) {
      if (now > this.#heldUntilMs) {
        this.leadMs = Math.max(LEAST_LEAD_MS, this.leadMs * SHRINK);
      }
    } else if (now - this.#arrivedAtMs < PAUSE_MS) {
      const neededMs = now - this.#dueMs + this.#aheadMs + SPARE_MS;
      if (neededMs > this.leadMs * SHRINK) {
        this.leadMs = Math.min(MOST_LEAD_MS, Math.max(this.leadMs, neededMs));
        this.#heldUntilMs = now + HOLD_MS;
      }
      this.underruns += Number(dry);
    }
    if (dry || turn !== this.#arriving) {
      this.#dueMs = now;
      this.#aheadMs = 0;
    }
    this.#arriving = turn;
    this.#arrivedAtMs = now;
  }

  /** @param {Float32Array} out @returns {number} how much there was */
  #read(out) {
    let count = 0;
    while (count < out.length && this.#length) {
      const head = this.#queue[0];
      if (head.turn !== this.#turn) {
        this.#reportPlayed();
        this.#turn = head.turn;
        this.#played = this.#reported = 0;
      }
      const part = head.samples.subarray(0, out.length - count);
      out.set(part, count);
      count += part.length;
      this.#played += part.length;
      this.#length -= part.length;
      head.samples = head.samples.subarray(part.length);
      if (!head.samples.length) {
        this.#queue.shift();
      }
    }
    return count;
  }

  #drain() {
    this.#playing = false;
    this.#arriving = NaN;
    this.#report("drained");
  }

  #flushed() {
    this.#report("flushed");
    this.#droppedMs = 0;
  }

  #reportPlayed() {
    if (this.#played !== this.#reported) {
      this.#report("played");
    }
  }

  /** @param {PlaybackReport["type"]} type */
  #report(type) {
    this.#reported = this.#played;
    this.#reportedAtMs = this.#nowMs;
    const { underruns, lostMs, leadMs, queuedMs } = this;
    const heard = { turn: this.#turn, ms: this.#played / this.#perMs };
    this.#tell({ type, ...heard, droppedMs: this.#droppedMs, underruns, lostMs, leadMs, queuedMs });
  }
}
