/** A conversation of the page with the service: microphone, stream, loudspeaker and reports around a `DirectSession`. */

import { Capture } from "novasonic/capture.js";
import { openMicrophone } from "novasonic/microphone.js";
import { Playback } from "novasonic/playback.js";

import { DirectSession } from "./direct.js";
import { Ledger } from "./ledger.js";
import { Outbox } from "./outbox.js";
import { Reporter } from "./reporter.js";
import { openStream } from "./stream.js";

/** @import { News } from "./direct.js" */
/** @import { Server } from "./server.js" */
/**
 * @typedef {{
 *   server: Server, system: string, voice: string, endpoint?: string, captureWorklet: string, playbackWorklet: string,
 * }} Options
 */

const INPUT_RATE = 16_000;
const OUTPUT_RATE = 24_000;
const FRAME_MS = 32;
const TICK_MS = 500;

/**
 * Emits `state` ("connecting", "listening", "speaking", "ended"), `level` and the session's news (`transcript`,
 * `interrupted`, `turn_started`, `turn_ended`, `usage`, `ending`, `ended`), each as a CustomEvent. Lasts for one stream.
 */
export class Conversation extends EventTarget {
  state = "connecting";
  /** @type {Playback | null} */
  playback = null;
  #options;
  #session;
  #outbox = new Outbox();
  /** @type {MediaStream | null} */
  #microphone = null;
  /** @type {Capture | null} */
  #capture = null;
  /** @type {Ledger | null} */
  #ledger = null;
  /** @type {Reporter | null} */
  #reporter = null;
  /** @type {ReturnType<typeof setInterval> | 0} */
  #ticking = 0;
  #leave = () => {
    this.#session.lost("gone");
    this.#settle();
    this.#reporter?.leave();
  };

  /** @param {Options} options */
  constructor(options) {
    super();
    this.#options = options;
    this.#session = new DirectSession({
      system: options.system,
      voice: options.voice,
      inputRate: INPUT_RATE,
      outputRate: OUTPUT_RATE,
    });
  }

  /**
   * Talk until `stop`, the eight minutes, or an end that nobody wanted.
   *
   * @returns {Promise<void>} when it is over
   * @throws {MicrophoneError | Refused | Error} it could not begin, or it broke
   */
  async start() {
    this.#become("connecting");
    try {
      this.#microphone = await openMicrophone();
      await this.#openSound(this.#microphone);
      if (this.#stopped) {
        return;
      }
      // Asked for last: they are in the page for as short as can be, and a denied microphone costs none.
      const keys = await this.#options.server.keys();
      if (this.#stopped) {
        return;
      }
      this.#ticking = setInterval(() => this.#drive((now) => this.#session.tick(now)), TICK_MS);
      addEventListener("pagehide", this.#leave);
      if (keys.grant) {
        this.#ledger = new Ledger({ grant: keys.grant, voice: this.#options.voice });
        this.#reporter = new Reporter(this.#ledger, (report, leaving) => this.#options.server.report(report, leaving));
      }
      this.#drive((now) => this.#session.open(now));
      this.#become("listening");
      for await (const event of await openStream(keys, this.#outbox, this.#options.endpoint)) {
        this.#drive((now) => this.#session.receive(event, now));
      }
      this.#drive(() => this.#session.lost("gone"));
    } catch (error) {
      this.#drive(() => this.#session.lost("error"));
      throw error;
    } finally {
      this.#close();
    }
  }

  /** End in order. */
  stop() {
    this.#drive((now) => this.#session.close(now));
  }

  /** While keys, microphone or worklets were waited for, the user may have thought better of it. */
  get #stopped() {
    return this.#session.state === "ended";
  }

  /** @param {MediaStream} stream */
  async #openSound(stream) {
    const { captureWorklet, playbackWorklet } = this.#options;
    this.#capture = await Capture.open({
      worklet: captureWorklet,
      rate: INPUT_RATE,
      frameMs: FRAME_MS,
      onFrame: ({ pcm, level }) => {
        this.#emit("level", { level });
        this.#drive(() => this.#session.audio(base64Of(pcm)));
      },
      onLost: () => this.stop(),
    });
    await this.#capture.use(stream);
    this.playback = await Playback.open({
      worklet: playbackWorklet,
      rate: OUTPUT_RATE,
      onReport: (report) => {
        if (report.type === "playing") {
          this.#become("speaking");
          return;
        }
        this.#session.heard(report.turn ?? 0, report.ms);
        if (report.type !== "played") {
          this.#become("listening");
          this.#keep(report.turn);
        }
      },
    });
  }

  /** Let the session do something, and carry out what comes of it. @param {(nowMs: number) => void} something */
  #drive(something) {
    something(performance.now());
    this.#settle();
  }

  #settle() {
    for (const event of this.#session.takeOutgoing()) {
      this.#outbox.push(event);
    }
    for (const news of this.#session.takeNews()) {
      this.#tell(news);
    }
  }

  /** @param {News} news */
  #tell(news) {
    switch (news.type) {
      case "audio":
        this.playback?.push(news.turn, bytesOf(news.base64));
        return;
      case "interrupted":
        this.playback?.flush();
        this.#keep(news.turn);
        break;
      case "turn_ended":
        this.playback?.end(news.turn);
        this.#keep(news.turn);
        break;
      case "transcript":
        this.#keep(news.turn);
        break;
      case "usage":
        this.#ledger?.usage(news.turn, news.counts);
        this.#reporter?.changed();
        break;
      case "ended":
        this.#ledger?.end(news.reason);
        this.#reporter?.changed(0);
        this.#outbox.close();
        this.#close();
        this.#become("ended");
    }
    this.#emit(news.type, news);
  }

  /** @param {number | null} number */
  #keep(number) {
    const turn = this.#session.turn(number ?? 0);
    if (turn) {
      this.#ledger?.turn(turn);
      this.#reporter?.changed();
    }
  }

  /** @param {string} state */
  #become(state) {
    if (this.state !== "ended") {
      this.state = state;
      this.#emit("state", { state });
    }
  }

  /** @param {string} type @param {object} detail */
  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  #close() {
    clearInterval(this.#ticking);
    removeEventListener("pagehide", this.#leave);
    this.#capture?.close();
    this.#capture = null;
    this.#microphone?.getTracks().forEach((track) => track.stop());
    this.playback?.close();
    this.playback = null;
  }
}

/** @param {ArrayBuffer} buffer */
function base64Of(buffer) {
  return btoa(String.fromCharCode(...new Uint8Array(buffer)));
}

/** @param {string} base64 */
function bytesOf(base64) {
  return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0)).buffer;
}
