/** The model's side of the sound; playback-worklet.js queues it and plays it by the audio clock. */

/** @import { PlaybackOptions } from "./types.d.ts" */

/** PCM16 into the loudspeaker. */
export class Playback {
  /** For level meters. @type {AnalyserNode} */
  analyser;
  #context;
  #node;
  #samples = new Float32Array(2048);

  /** @param {PlaybackOptions} options @returns {Promise<Playback>} */
  static async open(options) {
    let context;
    try {
      context = new AudioContext({ sampleRate: options.rate });
    } catch {
      context = new AudioContext();
    }
    try {
      await context.audioWorklet.addModule(options.worklet);
      return new Playback(context, options);
    } catch (error) {
      void context.close();
      throw error;
    }
  }

  /** @private use `Playback.open` @param {AudioContext} context @param {PlaybackOptions} options */
  constructor(context, { rate, onReport }) {
    this.#context = context;
    this.#node = new AudioWorkletNode(context, "novasonic-playback", {
      numberOfInputs: 0,
      outputChannelCount: [1],
      processorOptions: { rate },
    });
    this.#node.port.onmessage = ({ data }) => onReport(data);
    this.analyser = new AnalyserNode(context, { fftSize: this.#samples.length, smoothingTimeConstant: 0.5 });
    this.#node.connect(this.analyser).connect(context.destination);
    this.resume();
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
    return Math.sqrt(this.#samples.reduce((sum, sample) => sum + sample * sample, 0) / this.#samples.length);
  }

  /** Go on after the browser has suspended the sound: before the user's first click, or for a telephone call. */
  resume() {
    this.#context.resume().catch(() => {});
  }

  close() {
    this.#node.port.onmessage = null;
    void this.#context.close();
  }
}
