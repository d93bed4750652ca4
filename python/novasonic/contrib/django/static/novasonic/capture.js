/** The user's side of the sound; capture-worklet.js cuts it into frames. */

/** @import { CaptureOptions } from "./types.d.ts" */

/** A microphone, a recording, or silence, as PCM16 frames at the wire's rate. */
export class Capture {
  #options;
  /** @type {AudioContext | null} */
  #context = null;
  /** @type {AudioWorkletNode | null} */
  #node = null;
  /** @type {MediaStream | null} */
  #stream = null;
  /** Held, for a source that only the graph refers to may be collected, and the microphone goes silent. */
  /** @type {AudioNode | null} */
  #source = null;
  #muted = false;

  /** @param {CaptureOptions} options @returns {Promise<Capture>} */
  static async open(options) {
    const capture = new Capture(options);
    try {
      await capture.use(options.stream ?? null);
    } catch (error) {
      capture.close();
      throw error;
    }
    return capture;
  }

  /** @private use `Capture.open` @param {CaptureOptions} options */
  constructor(options) {
    this.#options = options;
  }

  /** Listen to another microphone, or to none; the one before is let go. @param {MediaStream | null} stream */
  async use(stream) {
    this.#letGo();
    this.#stream = stream;
    try {
      if (!this.#node) {
        await this.#begin(this.#options.rate);
      }
      this.#join();
    } catch (error) {
      // Some browsers refuse to join a microphone to a context of another rate, or such a context at all.
      if (/** @type {Error} */ (error).name !== "NotSupportedError") {
        throw error;
      }
      await this.#begin();
      this.#join();
    }
  }

  /**
   * Speak a recording into the conversation, beside or instead of the microphone.
   *
   * @param {ArrayBuffer} file any format the browser decodes
   * @returns {Promise<void>} when it has been spoken, or this is closed
   */
  async play(file) {
    const context = /** @type {AudioContext} */ (this.#context);
    const source = context.createBufferSource();
    source.buffer = await context.decodeAudioData(file);
    source.connect(/** @type {AudioNode} */ (this.#node));
    await new Promise((resolve) => {
      source.onended = resolve;
      context.addEventListener("statechange", () => context.state === "closed" && resolve(null));
      source.start();
    });
    source.disconnect();
  }

  /** @param {boolean} on frames of silence */
  mute(on) {
    this.#muted = on;
    this.#node?.port.postMessage(on);
  }

  /** Let go of the microphone: the browser's recording light goes out. */
  close() {
    this.#letGo();
    this.#leave();
  }

  /** @param {number} [sampleRate] the browser's own where none is given */
  async #begin(sampleRate) {
    this.#leave();
    const { worklet, rate, frameMs = 32, onFrame } = this.#options;
    const context = (this.#context = new AudioContext({ sampleRate }));
    await context.audioWorklet.addModule(worklet);
    const node = (this.#node = new AudioWorkletNode(context, "novasonic-capture", {
      channelCount: 1,
      channelCountMode: "explicit",
      processorOptions: { rate, frameMs },
    }));
    node.port.onmessage = ({ data }) => onFrame(data);
    this.mute(this.#muted);
    // It plays silence; a node that leads nowhere need not be run.
    node.connect(context.destination);
    void context.resume();
  }

  #join() {
    const stream = this.#stream;
    if (stream) {
      this.#source = /** @type {AudioContext} */ (this.#context).createMediaStreamSource(stream);
      this.#source.connect(/** @type {AudioNode} */ (this.#node));
      for (const track of stream.getTracks()) {
        track.onended = () => this.#stream === stream && this.#options.onLost?.();
      }
    }
  }

  #letGo() {
    this.#source?.disconnect();
    this.#source = null;
    this.#stream?.getTracks().forEach((track) => track.stop());
    this.#stream = null;
  }

  #leave() {
    if (this.#node) {
      this.#node.port.onmessage = null;
      this.#node = null;
    }
    if (this.#context?.state !== "closed") {
      void this.#context?.close();
    }
  }
}
