/** Both directions of a page's sound, opened together: the microphone's frames, and the answer's way to the loudspeaker. */

/** @import { Frame, Options, PlaybackReport } from "./types.d.ts" */

import { Capture } from "./capture.js";
import { audioAllowed } from "./microphone.js";
import { Playback } from "./playback.js";

/** @typedef {{frame: (frame: Frame) => void, lost: () => void, report: (report: PlaybackReport) => void}} Listener */

/** @param {string} file */
const beside = (file) => new URL(file, import.meta.url).href;

export class Sound {
  /** @type {Playback | null} */
  playback = null;
  /** @type {Capture | null} */
  capture = null;
  #options;
  #tell;
  #closed = false;
  /** The answer's first sounds, where the loudspeaker is not open yet. @type {((playback: Playback) => void)[]} */
  #early = [];

  /** @param {Options} options @param {Listener} listener */
  constructor(options, listener) {
    this.#options = options;
    this.#tell = listener;
  }

  /**
   * Open both, with a microphone that is silent; on a page that may not, nothing happens.
   *
   * @param {{input: number, output: number}} rates
   */
  async open({ input, output }) {
    if (!audioAllowed()) {
      this.#closed = true;
      return;
    }
    const { captureWorklet, playbackWorklet, frameMs = 32 } = this.#options;
    const opening = /** @type {const} */ ([
      Playback.open({
        worklet: playbackWorklet ?? beside("./playback-worklet.js"),
        rate: output,
        onReport: (report) => {
          // What is on its way when the conversation ends is nobody's.
          if (!this.#closed) {
            this.#tell.report(report);
          }
        },
      }),
      Capture.open({
        worklet: captureWorklet ?? beside("./capture-worklet.js"),
        rate: input,
        frameMs,
        onFrame: this.#tell.frame,
        onLost: this.#tell.lost,
      }),
    ]);
    try {
      [this.playback, this.capture] = await Promise.all(opening);
    } catch (error) {
      opening.forEach((half) => half.then((opened) => opened.close()).catch(() => {}));
      throw error;
    }
    if (this.#closed) {
      this.close();
    } else {
      this.#early.forEach((order) => order(/** @type {Playback} */ (this.playback)));
    }
    this.#early = [];
  }

  /** Have the loudspeaker do something, now or as soon as it is open. @param {(playback: Playback) => void} order */
  play(order) {
    if (this.playback) {
      order(this.playback);
    } else if (!this.#closed) {
      this.#early.push(order);
    }
  }

  /** Go on after the browser has suspended it: some do where the page is hidden, or the telephone rings. */
  resume() {
    this.capture?.resume();
    this.playback?.resume();
  }

  close() {
    this.#closed = true;
    this.capture?.close();
    this.capture = null;
    this.playback?.close();
    this.playback = null;
  }
}
