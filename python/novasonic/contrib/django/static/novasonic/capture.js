/** @import { CaptureOptions } from "./types.d.ts" */

import { openContext, resume } from "./context.js";

/** The user's side: a microphone, or silence, as PCM16 frames at the wire's rate. */
export class Capture {
  #options;
  #context;
  #node;
  /** @type {MediaStream | null} */
  #stream = null;
  /** Held, for a source that only the graph refers to may be collected. @type {AudioNode | null} */
  #source = null;
  #muted = false;

  /** @param {CaptureOptions} options */
  static async open(options) {
    return new Capture(options, await openContext(options.worklet, options.rate));
  }

  /** @private use `Capture.open` @param {CaptureOptions} options @param {AudioContext} context */
  constructor(options, context) {
    this.#options = options;
    this.#context = context;
    this.#node = this.#attach();
  }

  /** Listen to a microphone, or to none; the one before is let go. @param {MediaStream | null} stream */
  async use(stream) {
    this.#source?.disconnect();
    this.#stream?.getTracks().forEach((track) => track.stop());
    this.#stream = stream;
    if (!stream) {
      return;
    }
    for (const track of stream.getTracks()) {
      track.onended = () => this.#stream === stream && this.#options.onLost();
    }
    try {
      this.#join(stream);
    } catch (error) {
      if (/** @type {Error} */ (error).name !== "NotSupportedError") {
        throw error;
      }
      // Some browsers do not join a microphone to a context of another rate.
      const context = await openContext(this.#options.worklet);
      if (this.#stream !== stream) {
        void context.close();
        return;
      }
      this.#leave();
      this.#context = context;
      this.#node = this.#attach();
      this.#join(stream);
    }
  }

  /** Give the microphone away, open as it is. @returns {MediaStream | null} */
  release() {
    const stream = this.#stream;
    this.#source?.disconnect();
    this.#stream = null;
    return stream;
  }

  /** @param {boolean} on frames of silence */
  mute(on) {
    this.#muted = on;
    this.#node.port.postMessage(on);
  }

  /** Go on where the browser has suspended the sound. */
  resume() {
    resume(this.#context);
  }

  /** Let go of the microphone: the browser's recording light goes out. */
  close() {
    void this.use(null);
    this.#leave();
  }

  #attach() {
    const { rate, frameMs, onFrame } = this.#options;
    const node = new AudioWorkletNode(this.#context, "novasonic-capture", {
      channelCount: 1,
      channelCountMode: "explicit",
      processorOptions: { rate, frameMs },
    });
    node.port.onmessage = ({ data }) => onFrame(data);
    node.port.postMessage(this.#muted);
    // It plays silence; a node that leads nowhere need not be run.
    node.connect(this.#context.destination);
    return node;
  }

  /** @param {MediaStream} stream */
  #join(stream) {
    this.#source = this.#context.createMediaStreamSource(stream);
    this.#source.connect(this.#node);
  }

  #leave() {
    this.#node.port.onmessage = null;
    void this.#context.close();
  }
}
