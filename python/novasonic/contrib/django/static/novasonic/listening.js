/** Which microphone is heard: the one that was asked for, another where that one went, or none. */

/** @import { Capture } from "./capture.js" */
/** @import { Options } from "./types.d.ts" */

import { openMicrophone } from "./microphone.js";

/** @param {MediaStream} stream */
export const letGo = (stream) => stream.getTracks().forEach((track) => track.stop());

/**
 * @typedef {{
 *   capture: () => Capture | null | undefined,
 *   heard: () => void,
 *   replaced: () => void,
 *   gone: () => void,
 * }} Listener `heard` with each microphone; then `replaced` where another had gone
 */

export class Listening {
  /** Whether a microphone is open. */
  on = false;
  #options;
  #tell;
  /** The last change of microphones: what an older one finds is let go. */
  #change = 0;

  /** @param {Pick<Options, "deviceId">} options @param {Listener} listener */
  constructor(options, listener) {
    this.#options = options;
    this.#tell = listener;
  }

  /** @param {MediaStream} stream @returns {Promise<boolean>} whether it is the one that is heard */
  async join(stream) {
    const capture = this.#tell.capture();
    if (!capture) {
      letGo(stream);
      return false;
    }
    const change = ++this.#change;
    await capture.use(stream);
    if (change !== this.#change) {
      return false; // the end, or another one, has let go of it
    }
    this.on = true;
    this.#tell.heard();
    return true;
  }

  /** Join what is found, unless something else was wished meanwhile. @param {() => Promise<MediaStream>} find */
  async take(find) {
    const change = ++this.#change;
    return this.#settle(change, await find());
  }

  /** The microphone is gone: listen through whatever there is. */
  async seek() {
    const change = ++this.#change;
    this.on = false;
    try {
      await this.#tell.capture()?.use(null);
      if (await this.#settle(change, await openMicrophone(this.#options))) {
        this.#tell.replaced();
      }
    } catch {
      if (change === this.#change) {
        this.#tell.gone();
      }
    }
  }

  /** @param {number} change @param {MediaStream} stream */
  async #settle(change, stream) {
    if (change === this.#change) {
      return this.join(stream);
    }
    letGo(stream);
    return false;
  }

  end() {
    this.#change += 1;
    this.on = false;
  }
}
