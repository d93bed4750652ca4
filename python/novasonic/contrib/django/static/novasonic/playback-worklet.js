/** PCM16 from the network to the loudspeaker, on the audio thread; see playout.js for what it does. */

import { Playout } from "./playout.js";
import { Resampler } from "./resampler.js";

/** @import { PlaybackEvent, PlaybackOrder } from "./types.d.ts" */

const REPORT_MS = 250;

class Playback extends AudioWorkletProcessor {
  #playout = new Playout(sampleRate);
  #rate;
  #resampler;
  #sinceReport = 0;
  #reportedMs = 0;

  /** @param {{processorOptions: {rate: number}}} options */
  constructor({ processorOptions: { rate } }) {
    super();
    this.#rate = rate;
    this.#resampler = this.#newResampler();
    /** @param {MessageEvent<PlaybackOrder>} event */
    this.port.onmessage = ({ data }) => this.#take(data);
  }

  /**
   * @param {Float32Array[][]} _inputs
   * @param {Float32Array[][]} outputs
   */
  process(_inputs, [channels]) {
    const [out, ...others] = channels;
    this.#playout.render(out);
    for (const other of others) {
      other.set(out);
    }
    for (const event of this.#playout.takeEvents()) {
      if (event.type !== "playing") {
        this.#sinceReport = 0; // tells what a `played` would
        this.#reportedMs = event.ms;
      }
      this.#post(event);
    }
    this.#sinceReport += out.length;
    if (this.#sinceReport >= (sampleRate * REPORT_MS) / 1000) {
      this.#sinceReport = 0;
      const played = this.#playout.played;
      if (played && played.ms !== this.#reportedMs) {
        this.#reportedMs = played.ms;
        this.#post({ type: "played", ...played });
      }
    }
    return true;
  }

  /** @param {PlaybackOrder} message */
  #take(message) {
    switch (message.type) {
      case "audio":
        this.#playout.push(message.turn, this.#samples(new Int16Array(message.pcm)));
        break;
      case "end":
        this.#playout.end(message.turn);
        break;
      case "flush":
        this.#playout.flush();
        // What the filter still holds belongs to the answer that was cut.
        this.#resampler = this.#newResampler();
    }
  }

  #newResampler() {
    return sampleRate === this.#rate ? null : new Resampler(this.#rate, sampleRate);
  }

  /** @param {Int16Array} pcm */
  #samples(pcm) {
    const samples = Float32Array.from(pcm, (value) => value / 32768);
    return this.#resampler ? this.#resampler.process(samples) : samples;
  }

  /** @param {PlaybackEvent} event */
  #post(event) {
    const { underruns, lostMs, queuedMs } = this.#playout;
    this.port.postMessage({ ...event, underruns, lostMs, queuedMs });
  }
}

registerProcessor("novasonic-playback", Playback);
