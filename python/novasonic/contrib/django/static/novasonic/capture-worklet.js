/** Microphone to PCM16 frames, on the audio thread. */

import { Resampler } from "./resampler.js";

class Capture extends AudioWorkletProcessor {
  #size;
  #frame;
  #filled = 0;
  #squares = 0;
  #muted = false;
  #resampler;

  /** @param {{processorOptions: {rate: number, frameMs: number}}} options */
  constructor({ processorOptions: { rate, frameMs } }) {
    super();
    this.#size = Math.round((rate * frameMs) / 1000);
    this.#frame = new Int16Array(this.#size);
    // The context is asked to run at the wire's rate, for the browser's filters are better than ours.
    this.#resampler = sampleRate === rate ? null : new Resampler(sampleRate, rate);
    /** @param {MessageEvent<boolean>} event */
    this.port.onmessage = ({ data }) => {
      this.#muted = data;
    };
  }

  /**
   * @param {Float32Array[][]} inputs
   * @param {Float32Array[][]} outputs
   */
  process([[input]], [[silence]]) {
    // With nothing connected silence is sent: the service waits for audio that goes on, and this node is the clock.
    const samples = this.#muted || !input ? silence : input;
    for (const sample of this.#resampler?.process(samples) ?? samples) {
      this.#squares += sample * sample;
      this.#frame[this.#filled++] = Math.max(-32768, Math.min(32767, Math.round(sample * 32767)));
      if (this.#filled === this.#size) {
        this.#post();
      }
    }
    return true;
  }

  #post() {
    const pcm = this.#frame.buffer;
    this.port.postMessage({ pcm, level: Math.sqrt(this.#squares / this.#size) }, [pcm]);
    // The buffer now belongs to the page and this view has length 0: the size must come from elsewhere.
    this.#frame = new Int16Array(this.#size);
    this.#filled = 0;
    this.#squares = 0;
  }
}

registerProcessor("novasonic-capture", Capture);
