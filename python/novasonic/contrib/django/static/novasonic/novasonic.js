/**
 * One voice conversation of this page: microphone, WebSocket, loudspeaker.
 *
 *     const nova = new NovaSonic({ url: "/novasonic/ws/" });
 *     nova.addEventListener("transcript", ({ detail }) => console.log(detail.role, detail.text));
 *     button.onclick = () => nova.start();
 *
 * Call `start` and `sendText` in an event handler of a click or key: browsers keep audio silent until the user has
 * acted. On a page that is neither https nor localhost there is no audio at all; typing and reading remain.
 */

/** @import { Condition, Details, Frame, Options, ServerMessage, State, Target } from "./types.d.ts" */

import { Answer } from "./answer.js";
import { Backlog } from "./backlog.js";
import { Link } from "./link.js";
import { letGo, Listening } from "./listening.js";
import { isAllowed, listDevices, MicrophoneError, openMicrophone, watchDevices } from "./microphone.js";
import { watchPage } from "./presence.js";
import { decode, pieces } from "./recording.js";
import { Sound } from "./sound.js";
import * as wire from "./wire.js";
import { WORDS } from "./words.js";

/** A network that is further behind gets no more audio, since late speech confuses. */
const MAX_BEHIND_SECONDS = 2;
/** Of a recording, so much is sent ahead of its being spoken; the server's session holds 30 s. */
const AT_ONCE_MS = 28_000;
const LOSS_MS = 50;
/** How long "another microphone is in use" is worth a line. */
const CHANGED_MS = 5_000;

/** @param {number} ms @param {AbortSignal} [signal] cuts it short */
const pause = (ms, signal) =>
  new Promise((resolve) => {
    setTimeout(resolve, ms);
    signal?.addEventListener("abort", resolve);
  });

export class NovaSonic extends /** @type {new () => Target} */ (EventTarget) {
  /** @type {State} */
  state = "idle";
  muted = false;
  pressed = false;
  counts = { sentFrames: 0, droppedFrames: 0, underruns: 0, flushes: 0 };

  #options;
  #words;
  #link;
  #backlog;
  #listening;
  /** @type {Promise<void> | null} */
  #opening = null;
  /** @type {Sound | null} */
  #sound = null;
  /** Settled once it is open. @type {Promise<void> | undefined} */
  #sounding;
  /** The present conversation: its abort takes the page's listeners back. @type {AbortController | null} */
  #present = null;
  #pushToTalk = false;
  /** The conversation to which a recording is being spoken. @type {AbortController | null} */
  #reads = null;
  /** The recordings before. @type {Promise<unknown>} */
  #read = Promise.resolve();
  /** Whether an answer sounds; the state tells more than that. */
  #speaks = false;
  /** All that hold, the newest last. @type {Set<Condition>} */
  #conditions = new Set();
  #answer;
  #messageNumber = 0;
  #stops = 0;
  #rates = { input: 16_000, output: 24_000 };

  /** @param {Options} options */
  constructor(options) {
    super();
    this.#options = { ...options }; // `useDevice` writes into it
    this.#words = /** @type {Record<string | number, string>} */ ({ ...WORDS, ...options.words });
    this.#backlog = new Backlog(options.frameMs ?? 32);
    this.#link = new Link(options, {
      message: (message) => this.#receive(message),
      audio: (pcm) => this.#answer.push(pcm),
      returning: () => this.#enter("reconnecting"),
      ended: (code, error) => {
        const words = error?.message ?? this.#words[code] ?? this.#words.closed;
        this.#end(code === 1000 ? "ended" : "failed", words);
        return error ?? new Error(words);
      },
    });
    this.#listening = new Listening(this.#options, {
      capture: () => this.#sound?.capture,
      heard: () => {
        for (const condition of this.#conditions) {
          if (condition !== "offline" && condition !== "hidden") {
            this.#conditions.delete(condition);
          }
        }
        this.#enter(this.state);
      },
      replaced: () => {
        this.#note("changed");
        setTimeout(() => this.#forget("changed"), CHANGED_MS);
      },
      gone: () => this.#note("unplugged"),
    });
    this.#answer = this.#newAnswer();
  }

  /** Whether a microphone is open. */
  get listens() {
    return this.#listening.on;
  }

  /** What the user should know beside the state: the newest of what holds. @returns {Condition | null} */
  get condition() {
    return [...this.#conditions].at(-1) ?? null;
  }

  /** The answer's way to the loudspeaker, with its analyser. */
  get playback() {
    return this.#sound?.playback ?? null;
  }

  get open() {
    return this.#link.state === "open" && this.#opening === null;
  }

  /**
   * Open the conversation, or give a microphone to one that was opened without.
   *
   * @param {{microphone?: boolean}} [options] false: for those who type
   * @throws {MicrophoneError} Nothing was opened; its message is for the user.
   */
  async start({ microphone = true } = {}) {
    const stops = this.#stops;
    let begins = false;
    const asked = microphone && !this.listens ? this.#ask(this.#options.deviceId) : null;
    asked?.catch(() => {}); // it may be refused before one waits for it
    try {
      // A page that is denied costs no conversation; where nobody is asked, all opens at once.
      if (asked && !(await isAllowed())) {
        await asked;
      }
      this.#unlessStopped(stops);
      begins = this.#link.state === "closed";
      const begun = this.#begin();
      const present = this.#present;
      // What is said while the line opens is kept.
      const listening = asked?.then(async (stream) => {
        let opened;
        while (opened !== this.#sounding) {
          opened = this.#sounding;
          await opened;
        }
        await (present === this.#present ? this.#listening.join(stream) : letGo(stream));
      });
      await Promise.all([listening, begun]);
      this.#unlessStopped(stops);
    } catch (error) {
      asked?.then(letGo).catch(() => {});
      if (error instanceof MicrophoneError) {
        if (begins) {
          this.#end("idle");
        }
        this.#note(error.code);
      }
      throw error;
    }
  }

  /**
   * Say something by keyboard; opens the conversation if there is none.
   *
   * @param {string} text
   * @returns {Promise<string>} its message id
   */
  async sendText(text) {
    const id = `m${++this.#messageNumber}`;
    const frame = wire.textMessage(text, id);
    const stops = this.#stops;
    await this.#begin();
    while (!this.#link.send(frame)) {
      await pause(LOSS_MS); // the socket closes, which the link learns in a moment
      this.#unlessStopped(stops);
      await this.#begin();
    }
    return id;
  }

  /**
   * Speak a recording. The microphone rests meanwhile, for the server takes them together at the pace of speech.
   *
   * @param {ArrayBuffer} file any format the browser decodes
   * @returns {Promise<void>} when it has been spoken
   */
  speak(file) {
    // One after the other: together they were more than the server holds.
    const spoken = this.#read.then(() => this.#speak(file));
    this.#read = spoken.catch(() => {});
    return spoken;
  }

  /** @param {ArrayBuffer} file */
  async #speak(file) {
    await this.#begin();
    const present = this.#present;
    const { input } = this.#rates;
    let aheadMs = 0;
    this.#reads = present;
    try {
      for (const { audio, isComplete, ms } of pieces(await decode(file, input), input)) {
        aheadMs += ms;
        if (aheadMs > AT_ONCE_MS) {
          await pause(ms, present?.signal);
          aheadMs -= ms;
        }
        if (present !== this.#present || !this.#link.send(wire.audioChunk(audio, isComplete))) {
          throw new Error(this.#words[1006]);
        }
      }
      await pause(aheadMs, present?.signal);
    } finally {
      if (present === this.#present) {
        this.#reads = null;
      }
    }
  }

  /** Stop the answer that is playing. */
  interrupt() {
    this.#answer.silence();
    this.#link.send(wire.command("interrupt"));
  }

  /** Send silence instead of the user's voice, which does not leave the page then. @param {boolean} muted */
  mute(muted) {
    this.muted = muted;
    this.#sound?.capture?.mute(muted);
    this.#link.send(wire.command(muted ? "mute" : "unmute"));
  }

  /** Whether the user is heard only while `press` holds. */
  get pushToTalk() {
    return this.#pushToTalk;
  }

  set pushToTalk(on) {
    this.#pushToTalk = on;
    this.pressed = false;
  }

  /** Begin to talk, or stop, with `pushToTalk`. @param {boolean} down */
  press(down) {
    this.pressed = down;
  }

  /**
   * Let a tool call run that waits for the user, or deny it.
   *
   * @param {string} id of `tool_approval`
   * @param {boolean} approve
   */
  approve(id, approve) {
    this.#link.send(wire.toolApproval(id, approve));
  }

  /** @returns {Promise<{id: string, label: string}[]>} microphones; browsers tell labels once one was allowed */
  devices() {
    return listDevices();
  }

  /**
   * Listen through another microphone, now or from the start.
   *
   * @param {string} id of `devices()`
   * @throws {MicrophoneError} The one before stays.
   */
  async useDevice(id) {
    if (this.listens) {
      await this.#listening.take(() => this.#ask(id));
    }
    this.#options.deviceId = id;
  }

  /** End the conversation. */
  stop() {
    this.#stops += 1;
    this.#link.close();
  }

  /** The user may stop while the browser still asks for the microphone. @param {number} stops */
  #unlessStopped(stops) {
    if (stops !== this.#stops) {
      throw new Error(this.#words[1000]);
    }
  }

  #begin() {
    if (this.#link.state === "open" || this.#link.state === "returning") {
      return this.#opening ?? this.#link.open();
    }
    if (!this.#opening) {
      const opening = this.#connect().finally(() => {
        if (opening === this.#opening) {
          this.#opening = null;
        }
      });
      this.#opening = opening;
    }
    return this.#opening;
  }

  async #connect() {
    const present = (this.#present = new AbortController());
    this.#answer = this.#newAnswer();
    this.#conditions.clear();
    this.#watch(present.signal);
    this.#enter("connecting");
    const rates = this.#rates;
    try {
      await Promise.all([this.#link.open(), (this.#sounding = this.#openSound())]);
      if (rates !== this.#rates && present === this.#present) {
        this.#backlog.forget(); // at another rate it would be noise
        await (this.#sounding = this.#openSound());
      }
      if (present !== this.#present) {
        throw new Error(this.#words[1006]); // it ended while the audio was being opened
      }
    } catch (error) {
      if (present === this.#present) {
        this.#end("failed", /** @type {Error} */ (error).message);
      }
      throw error;
    }
    if (this.state === "connecting") {
      this.#enter("listening");
    }
  }

  async #openSound() {
    const stream = this.#sound?.capture?.release();
    this.#sound?.close();
    this.#sound = new Sound(this.#options, {
      frame: (frame) => this.#captured(frame),
      lost: () => void this.#listening.seek(),
      report: (report) => {
        this.counts.underruns = report.underruns;
        this.#answer.reported(report);
      },
    });
    const sound = this.#sound;
    await sound.open(this.#rates);
    sound.capture?.mute(this.muted);
    if (stream) {
      sound.capture ? await sound.capture.use(stream) : letGo(stream);
    }
  }

  /** @param {AbortSignal} signal */
  #watch(signal) {
    signal.addEventListener("abort", watchDevices(() => this.#conditions.has("unplugged") && void this.#listening.seek()));
    watchPage(signal, {
      offline: () => this.#note("offline"),
      online: () => {
        this.#forget("offline");
        this.#link.hurry();
      },
      hidden: () => this.#note("hidden"),
      shown: () => {
        this.#forget("hidden");
        this.#sound?.resume();
      },
      leaves: () => this.stop(),
    });
  }

  /** @param {string | undefined} deviceId @returns {Promise<MediaStream>} */
  async #ask(deviceId) {
    try {
      return await openMicrophone({ deviceId });
    } catch (error) {
      throw error instanceof MicrophoneError ? new MicrophoneError(error.code, this.#words[error.code]) : error;
    }
  }

  /** @param {Frame} frame */
  #captured(frame) {
    // Nothing is sent in between: the server's session sends silence where no frame comes.
    const rests = this.#pushToTalk ? !this.pressed : this.#options.halfDuplex && this.#speaks;
    const heard = this.listens && !rests && !this.#reads;
    this.#tell("level", { level: heard ? frame.level : 0, answer: this.playback?.level() ?? 0 });
    if (heard) {
      this.counts.droppedFrames += this.#backlog.push(frame);
    }
    if (this.#link.state !== "open" || this.#reads) {
      return;
    }
    for (const pcm of this.#backlog.take(performance.now())) {
      if (this.#link.behind < MAX_BEHIND_SECONDS * 2 * this.#rates.input && this.#link.send(pcm)) {
        this.counts.sentFrames += 1;
      } else {
        this.counts.droppedFrames += 1;
      }
    }
  }

  /** @param {ServerMessage} message */
  #receive(message) {
    switch (message.type) {
      case "initialized": {
        const { inputRate: input, outputRate: output } = message;
        if (input !== this.#rates.input || output !== this.#rates.output) {
          this.#rates = { input, output };
        }
        this.#backlog.open(performance.now());
        break;
      }
      case "resumed":
        this.#answer.resume(message.turn);
        break;
      case "queued":
        if (message.position > 0 || this.state === "queued") {
          this.#enter(message.position > 0 ? "queued" : "listening");
        }
        break;
      case "turn_started":
        this.#answer.begin(message.turn);
        this.#enter("thinking");
        break;
      case "turn_ended":
        this.#answer.end(message.turn);
        if (this.state === "thinking") {
          this.#enter("listening");
        }
        break;
      case "interrupted":
        this.#answer.interrupted(message.turn);
        break;
    }
    this.#tell(message.type, message);
    if (message.type === "initialized" && this.state === "reconnecting") {
      this.#enter(this.#speaks ? "speaking" : "listening");
      if (this.muted) {
        this.#link.send(wire.command("mute"));
      }
    }
  }

  #newAnswer() {
    this.#speaks = false;
    return new Answer({
      play: (order) => this.#sound?.play(order),
      heard: (turn, ms) => this.#link.send(wire.played(turn, ms)),
      flushed: (ms) => {
        this.counts.flushes += 1;
        this.#tell("flushed", { ms });
      },
      speaks: (speaks) => {
        this.#speaks = speaks;
        if (speaks ? this.#link.state === "open" : this.state === "speaking") {
          this.#enter(speaks ? "speaking" : "listening");
        }
      },
    });
  }

  /** @param {"idle" | "ended" | "failed"} state @param {string} [words] */
  #end(state, words) {
    if (!this.#present) {
      return;
    }
    this.#present.abort();
    this.#present = this.#opening = this.#reads = null;
    this.#listening.end();
    this.#link.close();
    this.#backlog.forget();
    this.#sound?.close();
    this.#sound = null;
    this.#conditions.clear();
    this.#enter(state, words);
  }

  /** @param {Condition} condition */
  #note(condition) {
    const before = this.condition;
    this.#conditions.delete(condition);
    this.#conditions.add(condition);
    this.#reveal(before);
  }

  /** @param {Condition} condition */
  #forget(condition) {
    const before = this.condition;
    this.#conditions.delete(condition);
    this.#reveal(before);
  }

  /** @param {Condition | null} before */
  #reveal(before) {
    if (before !== this.condition) {
      this.#enter(this.state);
    }
  }

  /** @param {State} state */
  #enter(state, words = this.condition ? this.#words[this.condition] : "") {
    this.state = state;
    this.#tell("state", { state, condition: this.condition, words });
  }

  /**
   * @template {keyof Details} T
   * @param {T} type
   * @param {Details[T]} detail
   */
  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

export { MicrophoneError };
