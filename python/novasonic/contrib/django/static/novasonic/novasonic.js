/**
 * One voice conversation of this page: microphone, WebSocket, loudspeaker.
 *
 *     const conversation = new Conversation({ socket, captureWorklet, playbackWorklet });
 *     conversation.addEventListener("transcript", ({ detail }) => console.log(detail.role, detail.text));
 *     button.onclick = () => conversation.start();
 *
 * Addresses are passed in, because static file storage may put hashes into names. `start` and `sendText` belong into
 * an event handler of a click or key: browsers keep audio silent until the user has acted. On a page that is neither
 * https nor localhost there is no audio at all; typing and reading remain.
 */

import { askForMicrophone, audioAllowed, Capture, MicrophoneError, Playback } from "./audio.js";
import { Comeback } from "./comeback.js";
import * as wire from "./wire.js";

/** A network that is further behind gets no more audio, since late speech confuses. */
const MAX_BEHIND_SECONDS = 2;
/** What the user says while the page comes back is kept and sent then; the server takes 3 s at once. */
const MAX_KEPT_SECONDS = 2;

/**
 * @typedef {"idle" | "connecting" | "reconnecting" | "listening" | "thinking" | "speaking" | "ended" | "failed"} State
 *
 * Events, each with `detail`:
 * - `state`: {state: State, words: string} words are for the user, empty where the state says it all
 * - `initialized`, and `resumed` after it where a lost conversation goes on: what was shown of turns after its `turn` is
 *   said again or not at all
 * - `transcript`, `turn_started`, `turn_ended`, `interrupted`, `tool`, `tool_approval`, `usage`, `renewing`, `renewed`, `error`: the
 *   message (wire.js); a `tool_approval` waits for `approve`
 * - `level`: {level: number} loudness of the user's side, RMS from 0 to 1, some 31 times a second
 * - `flushed`: {ms: number} how long a barge-in took from the server's message to silence
 *
 * @typedef {{[M in wire.ServerMessage as M["type"]]: M} & {state: {state: State, words: string}, level: {level: number},
 *   flushed: {ms: number}}} Details of the events, by type
 * @typedef {{
 *   addEventListener<T extends keyof Details>(type: T, listener: (event: CustomEvent<Details[T]>) => void,
 *     options?: boolean | AddEventListenerOptions): void,
 *   removeEventListener<T extends keyof Details>(type: T, listener: (event: CustomEvent<Details[T]>) => void,
 *     options?: boolean | EventListenerOptions): void,
 *   dispatchEvent(event: Event): boolean,
 * }} Target
 */
export class Conversation extends /** @type {new () => Target} */ (EventTarget) {
  /** @type {State} */
  state = "idle";
  /** Whether a microphone is open. */
  listens = false;
  muted = false;
  /** Whether the user is heard only while `press` holds. */
  pushToTalk = false;
  pressed = false;
  counts = { sentFrames: 0, droppedFrames: 0, underruns: 0, flushes: 0 };
  /** @type {Playback | null} */
  playback = null;

  #options;
  #choices;
  /** @type {WebSocket | null} */
  #socket = null;
  /** @type {Capture | null} */
  #capture = null;
  /** @type {Promise<void> | null} */
  #opening = null;
  #reads = false;
  #turn = 0;
  #silenced = 0;
  /** The turn whose flush has not been reported yet. */
  #cut = 0;
  #flushAskedAt = 0;
  #messageNumber = 0;
  #comeback = new Comeback();
  /** Of the attempt that waits. */
  #timer = 0;
  /**
   * Ends the wait of those who want to say something meanwhile.
   *
   * @type {{resolve: (value: void) => void, reject: (error: Error) => void} | null}
   */
  #returning = null;
  #retryable = false;
  #refusal = "";
  /** @type {ArrayBuffer[]} */
  #kept = [];
  #keptBytes = 0;
  #rates = { input: 16_000, output: 24_000 };

  /**
   * @param {{socket: string, captureWorklet: string, playbackWorklet: string}} options `socket` is a path or address
   * @param {wire.Choices | (() => wire.Choices | Promise<wire.Choices>)} [choices] of `initialize`, as far as the site
   *   allows; a function is asked for each socket anew, as one-time tickets need
   */
  constructor(options, choices = {}) {
    super();
    this.#options = options;
    this.#choices = choices;
  }

  get open() {
    return this.#socket?.readyState === WebSocket.OPEN && this.#opening === null;
  }

  /**
   * Open the conversation, or give a microphone to one that was opened without.
   *
   * @param {{microphone?: boolean}} [options] false: for those who type
   * @throws {MicrophoneError} Nothing was opened; its message is for the user.
   */
  async start({ microphone = true } = {}) {
    // Asked for first: a page that is denied costs no conversation.
    const stream = microphone && !this.listens ? await askForMicrophone() : null;
    try {
      await (this.#opening ?? (this.open ? null : this.#begin()));
      if (stream) {
        await this.#listen(stream);
      }
    } catch (error) {
      stream?.getTracks().forEach((track) => track.stop());
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
    if (!this.open) {
      await this.start({ microphone: false });
    }
    const id = `m${++this.#messageNumber}`;
    /** @type {WebSocket} */ (this.#socket).send(wire.textMessage(text, id));
    return id;
  }

  /**
   * Speak a recording, in real time.
   *
   * @param {ArrayBuffer} file
   * @returns {Promise<void>} when it has been spoken
   */
  async speak(file) {
    if (!audioAllowed()) {
      throw new MicrophoneError("insecure");
    }
    if (!this.open) {
      await this.start({ microphone: false });
    }
    this.#reads = true;
    try {
      await /** @type {Capture} */ (this.#capture).play(file);
    } finally {
      this.#reads = false;
    }
  }

  /** Stop the answer that is playing. */
  interrupt() {
    this.#silenced = this.#turn;
    this.#flush();
    this.#socket?.send(wire.command("interrupt"));
  }

  /** Send silence instead of the user's voice, which does not leave the page then. @param {boolean} muted */
  mute(muted) {
    this.muted = muted;
    this.#capture?.mute(muted);
    if (this.open) {
      /** @type {WebSocket} */ (this.#socket).send(wire.command(muted ? "mute" : "unmute"));
    }
  }

  /** Be heard only while `press` holds, or again at all times. @param {boolean} on */
  holdToTalk(on) {
    this.pushToTalk = on;
    this.pressed = false;
  }

  /** Begin to talk, or stop, where `holdToTalk` is on. @param {boolean} down */
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
    if (this.open) {
      /** @type {WebSocket} */ (this.#socket).send(wire.toolApproval(id, approve));
    }
  }

  /** End the conversation. */
  stop() {
    if (this.#socket?.readyState === WebSocket.OPEN) {
      this.#socket.send(wire.command("close"));
    }
    this.#end("ended", "");
  }

  #begin() {
    this.#opening = this.#connect().finally(() => {
      this.#opening = null;
    });
    return this.#opening;
  }

  async #connect() {
    this.#enter("connecting");
    this.#comeback.forget();
    this.#turn = 0;
    this.#silenced = 0;
    this.#cut = 0;
    /** @type {WebSocket | null} */
    let socket = null;
    try {
      const choices = await this.#chosen();
      if (this.state !== "connecting") {
        throw new Error(wire.closeWords(1000)); // stopped meanwhile
      }
      const opened = this.#dial(choices);
      socket = this.#socket;
      await opened;
      if (audioAllowed()) {
        this.playback = await Playback.open(this.#options.playbackWorklet, this.#rates.output, (report) =>
          this.#playbackReports(report),
        );
        await this.#openCapture(null);
      }
      if (socket !== this.#socket) {
        // It ended while the audio was being opened.
        this.#release();
        throw new Error(wire.closeWords(1006));
      }
    } catch (error) {
      if (socket === this.#socket) {
        this.#end("failed", /** @type {Error} */ (error).message);
      }
      throw error;
    }
    this.#enter("listening");
  }

  async #chosen() {
    return typeof this.#choices === "function" ? await this.#choices() : this.#choices;
  }

  /**
   * Open a socket in place of the present one; fulfilled by `initialized`.
   *
   * @param {wire.Choices} choices
   * @returns {Promise<void>}
   */
  #dial(choices) {
    const socket = new WebSocket(new URL(this.#options.socket, location.href.replace(/^http/, "ws")));
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    this.#retryable = false;
    this.#refusal = "";
    return new Promise((resolve, reject) => {
      socket.onopen = () => socket.send(wire.initialize(choices));
      socket.onmessage = ({ data }) => {
        if (socket === this.#socket || this.#socket === null) {
          this.#receive(data, resolve);
        }
      };
      socket.onclose = ({ code }) => {
        if (socket === this.#socket) {
          this.#closed(code);
        }
        reject(new Error(wire.closeWords(code)));
      };
    });
  }

  /** @param {number} code */
  #closed(code) {
    // What is lost before the page could talk is reported to whoever wanted to.
    const begun = this.#opening === null || this.#returning !== null;
    const wait = begun ? this.#comeback.lost(code, this.#retryable, performance.now()) : null;
    if (wait !== null) {
      this.#comeBackIn(wait);
    } else if (this.#refusal === "resume_unavailable") {
      this.#end("failed", "The connection was lost, and the conversation with it. Start again.");
    } else {
      this.#end(code === 1000 ? "ended" : "failed", wire.closeWords(code));
    }
  }

  /** @param {number} ms */
  #comeBackIn(ms) {
    if (!this.#returning) {
      /** @type {Promise<void>} */
      const back = new Promise((resolve, reject) => {
        this.#returning = { resolve, reject };
      });
      this.#opening = back.finally(() => {
        this.#opening = null;
      });
      this.#opening.catch(() => {}); // nobody need wait for it
      this.#enter("reconnecting");
    }
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#comeBack(), ms);
  }

  async #comeBack() {
    const returning = this.#returning;
    /** @type {wire.Choices | null} */
    let choices = null;
    try {
      choices = await this.#chosen();
    } catch {
      // A ticket that could not be fetched: the network is away as the socket was.
    }
    if (returning === null || returning !== this.#returning) {
      return; // stopped meanwhile
    }
    if (choices === null) {
      this.#closed(1006);
      return;
    }
    try {
      await this.#dial({ ...choices, resumeToken: this.#comeback.token });
    } catch {
      return; // `#closed` has seen to it
    }
    if (returning !== this.#returning) {
      return; // a listener of `initialized` has stopped
    }
    this.#returning = null;
    this.#enter("listening");
    if (this.muted) {
      /** @type {WebSocket} */ (this.#socket).send(wire.command("mute"));
    }
    for (const pcm of this.#kept) {
      /** @type {WebSocket} */ (this.#socket).send(pcm);
    }
    this.#forgetKept();
    returning.resolve();
  }

  /** @param {ArrayBuffer} pcm */
  #keep(pcm) {
    this.#kept.push(pcm);
    this.#keptBytes += pcm.byteLength;
    while (this.#keptBytes > MAX_KEPT_SECONDS * 2 * this.#rates.input) {
      this.#keptBytes -= /** @type {ArrayBuffer} */ (this.#kept.shift()).byteLength;
      this.counts.droppedFrames += 1;
    }
  }

  #forgetKept() {
    this.#kept = [];
    this.#keptBytes = 0;
  }

  /** @param {MediaStream} stream */
  async #listen(stream) {
    await this.#openCapture(stream);
    this.listens = true;
  }

  /** @param {MediaStream | null} stream */
  async #openCapture(stream) {
    const capture = await Capture.open(this.#options.captureWorklet, this.#rates.input, stream, (frame) =>
      this.#captured(frame),
    );
    this.#capture?.close();
    this.#capture = capture;
    capture.mute(this.muted);
  }

  /** @param {import("./audio.js").Frame} frame */
  #captured({ pcm, level }) {
    // Nothing is sent in between: the server's session sends silence where no frame comes.
    const heard = !this.pushToTalk || this.pressed || this.#reads;
    this.#tell("level", { level: heard ? level : 0 });
    if (heard && this.#returning) {
      this.#keep(pcm);
      return;
    }
    if (!heard || this.#socket?.readyState !== WebSocket.OPEN) {
      return;
    }
    if (this.#socket.bufferedAmount > MAX_BEHIND_SECONDS * 2 * this.#rates.input) {
      this.counts.droppedFrames += 1;
    } else {
      this.#socket.send(pcm);
      this.counts.sentFrames += 1;
    }
  }

  /** @param {string | ArrayBuffer} data @param {(value: void) => void} opened */
  #receive(data, opened) {
    if (data instanceof ArrayBuffer) {
      if (this.#turn !== this.#silenced) {
        this.playback?.push(this.#turn, data);
      }
      return;
    }
    let message;
    try {
      message = wire.parse(data);
    } catch (error) {
      this.#end("failed", /** @type {Error} */ (error).message);
      return;
    }
    switch (message.type) {
      case "initialized":
        this.#rates = { input: message.inputRate, output: message.outputRate };
        this.#comeback.token = message.resumeToken ?? null;
        this.#comeback.arrived();
        opened();
        break;
      case "resumed":
        if (this.#turn > message.turn) {
          // Its answer was cut in two; the user asks again.
          this.playback?.flush();
        }
        this.#turn = message.turn;
        this.#silenced = 0;
        break;
      case "resume_token":
        this.#comeback.token = message.resumeToken;
        break;
      case "reconnect":
        this.#comeback.token = message.resumeToken ?? this.#comeback.token;
        this.#comeback.sentAway(message.afterMs, performance.now());
        break;
      case "error":
        this.#retryable = message.fatal && message.retryable;
        this.#refusal = message.fatal ? message.code : "";
        break;
      case "turn_started":
        // Whoever begins a new turn has stopped listening to the old one.
        this.#flush();
        this.#turn = message.turn;
        this.#enter("thinking");
        break;
      case "turn_ended":
        this.playback?.end(message.turn);
        if (this.state === "thinking") {
          this.#enter("listening");
        }
        break;
      case "interrupted":
        // Of an older turn nothing is left: the next one's start has silenced it.
        if (message.turn === this.#turn) {
          this.#flushAskedAt = performance.now();
          this.#flush();
        }
        break;
    }
    this.#tell(message.type, message);
  }

  /** Silence the current turn; how much of it was heard follows, be it nothing. */
  #flush() {
    this.#cut = this.#turn;
    this.playback?.flush();
  }

  /** @param {import("./playout.js").PlaybackReport} report */
  #playbackReports(report) {
    if (!this.playback) {
      // On its way when the conversation ended: nobody speaks any more.
      return;
    }
    this.counts.underruns = report.underruns;
    switch (report.type) {
      case "playing":
        if (!this.#returning) {
          this.#enter("speaking");
        }
        return;
      case "flushed":
        if (report.turn !== this.#cut) {
          this.#sendPlayed(this.#cut, 0);
        }
        this.#cut = 0;
        if (this.#flushAskedAt) {
          this.counts.flushes += 1;
          this.#tell("flushed", { ms: performance.now() - this.#flushAskedAt });
          this.#flushAskedAt = 0;
        }
        break;
    }
    this.#sendPlayed(report.turn, report.ms);
    if (report.type !== "played" && this.state === "speaking") {
      this.#enter("listening");
    }
  }

  /** Cumulative: a smaller figure than one told before changes nothing. @param {number | null} turn @param {number} ms */
  #sendPlayed(turn, ms) {
    if (turn && this.#socket?.readyState === WebSocket.OPEN) {
      this.#socket.send(wire.played(turn, ms));
    }
  }

  /** @param {"ended" | "failed"} state @param {string} words */
  #end(state, words) {
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
    clearTimeout(this.#timer);
    this.#comeback.forget();
    this.#forgetKept();
    this.#returning?.reject(new Error(words || wire.closeWords(1000)));
    this.#returning = null;
    this.#release();
    if (this.state !== "ended" && this.state !== "failed") {
      this.#enter(state, words);
    }
  }

  #release() {
    this.#capture?.close();
    this.#capture = null;
    this.playback?.close();
    this.playback = null;
    this.listens = false;
  }

  /** @param {State} state */
  #enter(state, words = "") {
    this.state = state;
    this.#tell("state", { state, words });
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
