/**
 * Microphone to PCM16 frames, on the audio thread.
 *
 * The context is asked to run at the wire's rate, so that the browser converts (its filters are better than ours);
 * where it runs at another rate all the same, the Resampler does it. With nothing connected silence is sent: the
 * service waits for audio that goes on, and this node is the clock.
 */

import { Resampler } from "./resampler.js";

/** 32 ms at 16 kHz, what the service recommends. */
const FRAME_MS = 32;

class Capture extends AudioWorkletProcessor {
  #frameSize;
  #resampler;
  #frame;
  #filled = 0;
  #squares = 0;
  #muted = false;
  #running = true;

  /** @param {{processorOptions: {rate: number}}} options */
  constructor({ processorOptions: { rate } }) {
    super();
    this.#frameSize = Math.round((rate * FRAME_MS) / 1000);
    this.#frame = new Int16Array(this.#frameSize);
    this.#resampler = sampleRate === rate ? null : new Resampler(sampleRate, rate);
    /** @param {MessageEvent<{muted?: boolean, stop?: boolean}>} event */
    this.port.onmessage = ({ data }) => {
      this.#muted = data.muted ?? this.#muted;
      this.#running = !data.stop;
    };
  }

  /**
   * @param {Float32Array[][]} inputs
   * @param {Float32Array[][]} outputs
   */
  process([channels], [output]) {
    /** @type {Float32Array} */
    let samples = new Float32Array(output[0].length);
    if (!this.#muted) {
      for (const channel of channels) {
        for (let index = 0; index < channel.length; index++) {
          samples[index] += channel[index] / channels.length;
        }
      }
    }
    if (this.#resampler) {
      samples = this.#resampler.process(samples);
    }
    for (const sample of samples) {
      this.#squares += sample * sample;
      this.#frame[this.#filled++] = Math.max(-32768, Math.min(32767, Math.round(sample * 32767)));
      if (this.#filled === this.#frameSize) {
        this.#post();
      }
    }
    return this.#running;
  }

  #post() {
    const pcm = this.#frame.buffer;
    this.port.postMessage({ pcm, level: Math.sqrt(this.#squares / this.#frameSize) }, [pcm]);
    // The buffer now belongs to the page and this view has length 0: the size must come from elsewhere.
    this.#frame = new Int16Array(this.#frameSize);
    this.#filled = 0;
    this.#squares = 0;
  }
}

registerProcessor("novasonic-capture", Capture);
