/** What waits to be sent, in order, as the asynchronous iterable that AWS's SDK reads a stream's input from. */

/** @import { ServiceEvent } from "./direct.js" */

/** Speech that waits longer than this is late for a conversation: the oldest of it is dropped. 32 ms are a frame. */
const MAX_FRAMES = 60;
/** Before the socket is open, when the SDK begins to read, there is nothing that it could be late for. */
const MAX_EARLY = 150;

export class Outbox {
  droppedFrames = 0;
  #frames = 0;
  #most = MAX_EARLY;
  /** @type {ServiceEvent[]} */
  #waiting = [];
  #closed = false;
  #wake = () => {};

  /** @param {ServiceEvent} event */
  push(event) {
    if (this.#closed) {
      return;
    }
    if (event.audioInput && ++this.#frames > this.#most) {
      this.#waiting.splice(
        this.#waiting.findIndex(({ audioInput }) => audioInput),
        1,
      );
      this.#frames -= 1;
      this.droppedFrames += 1;
    }
    this.#waiting.push(event);
    this.#wake();
  }

  /** Nothing more is to be sent: the SDK ends the input and closes the socket, whatever the service still had to say. */
  close() {
    this.#closed = true;
    this.#wake();
  }

  /** @returns {AsyncGenerator<ServiceEvent>} */
  async *[Symbol.asyncIterator]() {
    for (;;) {
      const event = this.#waiting.shift();
      if (event) {
        this.#frames -= event.audioInput ? 1 : 0;
        if (!this.#frames) {
          this.#most = MAX_FRAMES;
        }
        yield event;
      } else if (this.#closed) {
        return;
      } else {
        await new Promise((resolve) => (this.#wake = () => resolve(null)));
      }
    }
  }
}
