/** @import { PlaybackOptions } from "./types.d.ts" */

import { openContext, resume } from "./context.js";

/** The model's side: PCM16 into the loudspeaker; playout.js has the queue. */
export class Playback {
  /** For level meters. @type {AnalyserNode} */
  analyser;
  #context;
  #node;
  #samples = new Float32Array(2048);

  /** @param {PlaybackOptions} options */
  static async open(options) {
    return new Playback(options, await openContext(options.worklet, options.rate));
  }

  /** @private use `Playback.open` @param {PlaybackOptions} options @param {AudioContext} context */
  constructor({ rate, onReport }, context) {
    this.#context = context;
    this.#node = new AudioWorkletNode(context, "novasonic-playback", {
      numberOfInputs: 0,
      outputChannelCount: [1],
      processorOptions: { rate },
    });
    this.#node.port.onmessage = ({ data }) => onReport(data);
    this.analyser = new AnalyserNode(context, { smoothingTimeConstant: 0.5 });
    this.#node.connect(this.analyser).connect(context.destination);
  }

  /** @param {number} turn @param {ArrayBuffer} pcm given away */
  push(turn, pcm) {
    this.#node.port.postMessage({ type: "audio", turn, pcm }, [pcm]);
  }

  /** No more audio of this turn will come. @param {number} turn */
  end(turn) {
    this.#node.port.postMessage({ type: "end", turn });
  }

  /** Fall silent within 5 ms and forget what was queued; a `flushed` report follows. */
  flush() {
    this.#node.port.postMessage({ type: "flush" });
  }

  /** @returns {number} RMS of what sounds now, 0 to 1 */
  level() {
    this.analyser.getFloatTimeDomainData(this.#samples);
    return Math.sqrt(this.#samples.reduce((sum, sample) => sum + sample * sample, 0) / 2048);
  }

  /** Go on where the browser has suspended the sound, as for a telephone call. */
  resume() {
    resume(this.#context);
  }

  close() {
    this.#node.port.onmessage = null;
    void this.#context.close();
  }
}
