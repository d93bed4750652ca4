/** A WebSocket that does what it is told. */

export class Socket {
  static OPEN = 1;
  static CLOSED = 3;
  /** @type {Socket[]} */
  static all = [];

  readyState = 0;
  bufferedAmount = 0;
  sent = [];

  constructor() {
    Socket.all.push(this);
  }

  send(frame) {
    this.sent.push(typeof frame === "string" ? JSON.parse(frame) : frame);
  }

  close() {
    this.readyState = Socket.CLOSED;
  }

  says(...messages) {
    for (const message of messages) {
      this.onmessage({ data: JSON.stringify(message) });
    }
  }

  async opens(...messages) {
    this.readyState = Socket.OPEN;
    this.onopen();
    this.says(...messages);
    await settled();
  }

  async closes(code, ...messages) {
    this.says(...messages);
    this.readyState = Socket.CLOSED;
    this.onclose({ code });
    await settled();
  }
}

export const settled = () => new Promise((resolve) => setImmediate(resolve));
export const last = () => Socket.all.at(-1);
export const initialized = (resumeToken) => ({
  type: "initialized",
  protocol: 1,
  sessionId: "5f",
  inputRate: 16000,
  outputRate: 24000,
  resumeToken,
});
