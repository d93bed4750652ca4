/** The conversation's WebSocket, and the next ones where it is lost: from outside one line to the server. */

/** @import { Options, ServerMessage } from "./types.d.ts" */

import { Comeback } from "./comeback.js";
import * as wire from "./wire.js";

/**
 * What a link tells.
 *
 * @typedef {{
 *   message: (message: ServerMessage) => void,
 *   audio: (pcm: ArrayBuffer) => void,
 *   returning: () => void,
 *   ended: (code: number | "lost" | "misunderstood", error?: Error) => Error,
 * }} Listener `returning`: the socket was lost, and the link tries to come back; `ended` comes once, and returns what
 *   those get who wait
 */

export class Link {
  /** @type {"closed" | "opening" | "open" | "returning"} */
  state = "closed";
  #url;
  #choices;
  #tell;
  /** @type {WebSocket | null} */
  #socket = null;
  #comeback = new Comeback();
  /** Of the attempt that waits. */
  #timer = 0;
  /** Settled once the page may talk, for the first time or again. @type {PromiseWithResolvers<void>} */
  #ready = Promise.withResolvers();
  /** Of the last fatal `error`. */
  #retryable = false;
  #refusal = "";

  /** @param {Pick<Options, "url" | "choices">} options @param {Listener} listener */
  constructor({ url, choices }, listener) {
    this.#url = url;
    this.#choices = choices;
    this.#tell = listener;
  }

  /** Bytes that the network has not taken yet. */
  get behind() {
    return this.#socket?.bufferedAmount ?? 0;
  }

  /** @returns {Promise<void>} once the page may talk; rejected where it may not */
  open() {
    if (this.state === "closed") {
      this.state = "opening";
      this.#comeback.forget();
      this.#wait();
      void this.#dial();
    }
    return this.#ready.promise;
  }

  /** @param {string | ArrayBuffer} frame @returns {boolean} whether it went */
  send(frame) {
    if (this.state !== "open" || this.#socket?.readyState !== WebSocket.OPEN) {
      return false;
    }
    this.#socket.send(frame);
    return true;
  }

  /** Try now to come back: the network is there again. */
  hurry() {
    if (this.state === "returning" && !this.#socket) {
      clearTimeout(this.#timer);
      void this.#dial();
    }
  }

  /** End the conversation in order. */
  close() {
    this.send(wire.command("close"));
    this.#end(1000);
  }

  #wait() {
    this.#ready = Promise.withResolvers();
    this.#ready.promise.catch(() => {}); // nobody need wait for it
  }

  async #dial() {
    const ready = this.#ready;
    try {
      const choices = typeof this.#choices === "function" ? await this.#choices() : this.#choices;
      if (ready !== this.#ready || this.#socket || this.state === "closed") {
        return; // stopped meanwhile, or hurried
      }
      this.#connect({ ...choices, ...(this.#comeback.token && { resumeToken: this.#comeback.token }) });
    } catch (error) {
      if (ready !== this.#ready || this.state === "closed") {
        return;
      }
      if (this.state === "returning") {
        this.#lost(1006); // a ticket that could not be fetched: the network is away as the socket was
      } else {
        this.#end(1006, /** @type {Error} */ (error));
      }
    }
  }

  /** @param {import("./types.d.ts").Choices} choices */
  #connect(choices) {
    const socket = new WebSocket(new URL(this.#url, location.href.replace(/^http/, "ws")));
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    this.#retryable = false;
    this.#refusal = "";
    socket.onopen = () => socket.send(wire.initialize(choices));
    socket.onmessage = ({ data }) => {
      if (socket === this.#socket) {
        this.#receive(data);
      }
    };
    socket.onclose = ({ code }) => {
      if (socket === this.#socket) {
        this.#lost(code);
      }
    };
  }

  /** @param {string | ArrayBuffer} data */
  #receive(data) {
    if (data instanceof ArrayBuffer) {
      this.#tell.audio(data);
      return;
    }
    let message;
    try {
      message = wire.parse(data);
    } catch (error) {
      this.#end("misunderstood", /** @type {Error} */ (error));
      return;
    }
    switch (message.type) {
      case "initialized":
        this.#comeback.token = message.resumeToken ?? null;
        this.#comeback.arrived();
        this.state = "open";
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
    }
    this.#tell.message(message);
    if (message.type === "initialized" && this.state === "open") {
      this.#ready.resolve();
    }
  }

  /** @param {number} code */
  #lost(code) {
    this.#socket = null;
    // What is lost before the page could talk is reported to whoever wanted to.
    const wait = this.state === "opening" ? null : this.#comeback.lost(code, this.#retryable, performance.now());
    if (wait === null) {
      this.#end(this.#refusal === "resume_unavailable" ? "lost" : code);
      return;
    }
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#dial(), wait);
    if (this.state === "open") {
      this.state = "returning";
      this.#wait();
      this.#tell.returning();
    }
  }

  /** @param {number | "lost" | "misunderstood"} code @param {Error} [error] */
  #end(code, error) {
    if (this.state === "closed") {
      return;
    }
    this.state = "closed";
    clearTimeout(this.#timer);
    this.#comeback.forget();
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
    this.#ready.reject(this.#tell.ended(code, error));
  }
}
