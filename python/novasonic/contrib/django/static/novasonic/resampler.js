/**
 * Sample rate conversion for browsers that do not convert by themselves: a windowed-sinc low-pass at each output's exact
 * place. Position and history carry over, for a block converted alone stretches time and leaves a seam.
 */

const TAPS = 160;
/** The place of an output is rounded to 1/512 of an input sample, which leaves spurs about 60 dB down. */
const PHASES = 512;
/** Part of the lower rate's band that passes. */
const PASS = 0.94;

export class Resampler {
  #step;
  #table;
  /** Input not yet done with. Half a filter of silence lies before the first sample, so that nothing is shifted. */
  #kept = new Float32Array(TAPS / 2 - 1);
  #position = 0;

  /** @param {number} from rate of the input in Hz @param {number} to rate of the output in Hz */
  constructor(from, to) {
    this.#step = from / to;
    this.#table = lowPass((PASS * Math.min(from, to)) / from);
  }

  /** @param {Float32Array} block any length @returns {Float32Array} what the input so far allows */
  process(block) {
    const input = new Float32Array(this.#kept.length + block.length);
    input.set(this.#kept);
    input.set(block, this.#kept.length);
    const output = new Float32Array(Math.max(0, Math.ceil((input.length - TAPS + 1 - this.#position) / this.#step)));
    let count = 0;
    let position = this.#position;
    for (; position <= input.length - TAPS && count < output.length; position += this.#step) {
      const start = Math.floor(position);
      const row = Math.round((position - start) * PHASES) * TAPS;
      let sum = 0;
      for (let tap = 0; tap < TAPS; tap++) {
        sum += input[start + tap] * this.#table[row + tap];
      }
      output[count++] = sum;
    }
    const done = Math.min(Math.floor(position), input.length);
    this.#kept = input.slice(done);
    this.#position = position - done;
    return output.subarray(0, count);
  }

  /** @returns {Float32Array} what the filter still holds; it begins anew */
  finish() {
    const rest = this.process(new Float32Array(TAPS / 2));
    this.#kept = new Float32Array(TAPS / 2 - 1);
    this.#position = 0;
    return rest;
  }
}

/** One row of Blackman-windowed sinc per phase. @param {number} cutoff a part of the input's Nyquist frequency */
function lowPass(cutoff) {
  const table = new Float32Array((PHASES + 1) * TAPS);
  for (let phase = 0; phase <= PHASES; phase++) {
    const centre = TAPS / 2 - 1 + phase / PHASES;
    let sum = 0;
    for (let tap = 0; tap < TAPS; tap++) {
      const x = tap - centre;
      const sinc = x === 0 ? cutoff : Math.sin(Math.PI * cutoff * x) / (Math.PI * x);
      const angle = (2 * Math.PI * (x + TAPS / 2)) / TAPS;
      const value = sinc * (0.42 - 0.5 * Math.cos(angle) + 0.08 * Math.cos(2 * angle));
      table[phase * TAPS + tap] = value;
      sum += value;
    }
    for (let tap = 0; tap < TAPS; tap++) {
      table[phase * TAPS + tap] /= sum;
    }
  }
  return table;
}
