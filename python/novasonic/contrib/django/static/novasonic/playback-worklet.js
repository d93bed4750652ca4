/** PCM16 from the network to the loudspeaker, on the audio thread; see playout.js for what it does. */

/** @import { PlaybackOrder } from "./types.d.ts" */

import { Playout } from "./playout.js";
import { Resampler } from "./resampler.js";

class Playback extends AudioWorkletProcessor {
  #playout = new Playout(sampleRate, (report) => this.port.postMessage(report));

  /** @param {{processorOptions: {rate: number}}} options */
  constructor({ processorOptions: { rate } }) {
    super();
    const resampler = sampleRate === rate ? null : new Resampler(rate, sampleRate);
    const playout = this.#playout;
    let current = -1;
    /** @param {number} turn */
    const end = (turn) => playout.end(turn, turn === current ? resampler?.finish() : undefined);
    /** @param {MessageEvent<PlaybackOrder>} event */
    this.port.onmessage = ({ data: { type, turn, pcm } }) => {
      if (type === "flush") {
        playout.flush();
        current = -1; // nothing is queued: what the filter holds goes nowhere
      } else if (pcm) {
        if (turn !== current) {
          end(current);
          current = turn;
        }
        const samples = Float32Array.from(new Int16Array(pcm), (value) => value / 32768);
        playout.push(turn, resampler?.process(samples) ?? samples);
      } else {
        end(turn);
      }
    };
  }

  /** @param {Float32Array[][]} _ @param {Float32Array[][]} outputs */
  process(_, [[out]]) {
    this.#playout.render(out);
    return true;
  }
}

registerProcessor("novasonic-playback", Playback);
