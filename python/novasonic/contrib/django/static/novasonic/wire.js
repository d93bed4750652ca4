/**
 * The browser wire, version 1, without I/O: frames of the server become messages, wishes of the page become frames.
 *
 * docs/reference/browser-wire.md describes every message; wire.py and messages.py are this module's twins on the server.
 */

export const PROTOCOL = 1;

/**
 * @typedef {{type: "initialized", protocol: number, sessionId: string, inputRate: number, outputRate: number,
 *   resumeToken?: string | null}} Initialized
 * @typedef {{type: "resumed", sessionId: string, turn: number}} Resumed after `initialized`; `turn` is the last complete one
 * @typedef {{type: "resume_token", resumeToken: string}} ResumeToken takes the place of the one before
 * @typedef {{type: "reconnect", afterMs: number, resumeToken?: string | null}} Reconnect this server goes away
 * @typedef {{type: "queued", position: number}} Queued waits for a free stream; 1 is the next
 * @typedef {{type: "heartbeat"}} Heartbeat
 * @typedef {{type: "transcript", role: "user" | "assistant", text: string, final: boolean, turn: number | null,
 *   segment: number}} Transcript
 * @typedef {{type: "turn_started", turn: number}} TurnStarted
 * @typedef {{type: "turn_ended", turn: number, interrupted: boolean, responseMs?: number | null}} TurnEnded
 * @typedef {{type: "interrupted", turn: number, source: "model" | "client"}} Interrupted
 * @typedef {{type: "audio_chunk", turn: number, audio: string}} AudioChunk
 * @typedef {{type: "usage", turn: number | null, total: Record<string, number>, usd: number}} Usage
 * @typedef {{type: "tool", turn: number | null, id: string, name: string, state: "called" | "finished",
 *   ok: boolean | null, seconds: number | null, arguments?: object}} Tool
 * @typedef {{type: "tool_approval", turn: number | null, id: string, name: string, arguments: object}} ToolApproval
 * @typedef {{type: "renewing", turn: number | null, reason: string}} Renewing
 * @typedef {{type: "renewed", turn: number | null, ms: number, replayedMs: number}} Renewed
 * @typedef {{type: "error", code: string, message: string, retryable: boolean, fatal: boolean,
 *   messageId: string | null, refusedFrames?: number, refusedMessages?: number}} ServerError
 * @typedef {{type: "closed", reason: string}} Closed
 * @typedef {{type: "unknown", name: string}} Unknown a message of a later version; to be ignored
 * @typedef {Initialized | Resumed | ResumeToken | Reconnect | Queued | Heartbeat | Transcript | TurnStarted | TurnEnded
 *   | Interrupted | AudioChunk | Usage | Tool | ToolApproval | Renewing | Renewed | ServerError | Closed
 *   | Unknown} ServerMessage
 * @typedef {Exclude<ServerMessage, Unknown>} Known
 * @typedef {{voice?: string, model?: string, region?: string, language?: string, audioFormat?: "binary" | "base64",
 *   ticket?: string, resumeToken?: string | null}} Choices what the site lets a page choose
 */

/**
 * What each message must hold; a question mark allows null.
 *
 * @type {{[M in Known as M["type"]]: {[F in Exclude<keyof M, "type">]?: string}}}
 */
const FIELDS = {
  initialized: {
    protocol: "number",
    sessionId: "string",
    inputRate: "number",
    outputRate: "number",
    resumeToken: "string?",
  },
  resumed: { sessionId: "string", turn: "number" },
  resume_token: { resumeToken: "string" },
  reconnect: { afterMs: "number", resumeToken: "string?" },
  queued: { position: "number" },
  heartbeat: {},
  transcript: { role: "string", text: "string", final: "boolean", turn: "number?", segment: "number" },
  turn_started: { turn: "number" },
  turn_ended: { turn: "number", interrupted: "boolean", responseMs: "number?" },
  interrupted: { turn: "number", source: "string" },
  audio_chunk: { turn: "number", audio: "string" },
  usage: { turn: "number?", total: "object", usd: "number" },
  tool: { turn: "number?", id: "string", name: "string", state: "string", ok: "boolean?", seconds: "number?" },
  tool_approval: { turn: "number?", id: "string", name: "string", arguments: "object" },
  renewing: { turn: "number?", reason: "string" },
  renewed: { turn: "number?", ms: "number", replayedMs: "number" },
  error: { code: "string", message: "string", retryable: "boolean", fatal: "boolean", messageId: "string?" },
  closed: { reason: "string" },
};

/** A frame of the server that does not keep to the protocol. */
export class WireError extends Error {
  name = "WireError";
}

/**
 * Read a text frame of the server.
 *
 * @param {string} frame
 * @returns {ServerMessage}
 * @throws {WireError} The frame is not JSON, or a known message lacks a field or has it in another type.
 */
export function parse(frame) {
  let message;
  try {
    message = JSON.parse(frame);
  } catch {
    throw new WireError("A text frame of the server is not JSON.");
  }
  if (typeof message?.type !== "string") {
    throw new WireError("A message of the server has no type.");
  }
  if (!Object.hasOwn(FIELDS, message.type)) {
    return { type: "unknown", name: message.type };
  }
  const fields = /** @type {Record<string, string>} */ (FIELDS[/** @type {Known["type"]} */ (message.type)]);
  for (const [field, type] of Object.entries(fields)) {
    const value = message[field];
    const nullable = type.endsWith("?");
    if (nullable && value == null) {
      continue;
    }
    if (value === null || typeof value !== (nullable ? type.slice(0, -1) : type)) {
      throw new WireError(`'${field}' of '${message.type}' is not a ${type}.`);
    }
  }
  if (message.type === "initialized" && message.protocol !== PROTOCOL) {
    throw new WireError(`The server speaks protocol ${message.protocol}, this page ${PROTOCOL}.`);
  }
  return message;
}

/**
 * @param {Choices} [choices]
 * @returns {string}
 */
export function initialize(choices = {}) {
  return JSON.stringify({ type: "initialize", ...choices });
}

/**
 * @param {string} text
 * @param {string} messageId comes back in the `error` of a refused text
 * @returns {string}
 */
export function textMessage(text, messageId) {
  return JSON.stringify({ type: "text_message", text, messageId });
}

/**
 * @param {number} turn
 * @param {number} ms of the turn's audio that have been played so far
 * @returns {string}
 */
export function played(turn, ms) {
  return JSON.stringify({ type: "played", turn, ms: Math.round(ms) });
}

/**
 * @param {string} id of the call
 * @param {boolean} approve whether it may run
 * @returns {string}
 */
export function toolApproval(id, approve) {
  return JSON.stringify({ type: "tool_approval", id, approve });
}

/**
 * @param {"interrupt" | "mute" | "unmute" | "close"} type
 * @returns {string}
 */
export function command(type) {
  return JSON.stringify({ type });
}

/**
 * Close codes of the server, in words for the user. 1005 and 1006 are the browser's own.
 *
 * @type {Record<number, string>}
 */
const CLOSE_WORDS = {
  1000: "The conversation has ended.",
  1001: "The server goes away. Start again in a moment.",
  1005: "The conversation has ended.",
  1006: "The connection was lost.",
  1009: "The connection was closed: too much was sent at once.",
  1012: "The server restarts. Start again in a moment.",
  4400: "This page and the server did not understand each other. Reload the page.",
  4401: "Sign in to talk.",
  4403: "You may not talk here.",
  4408: "Nobody spoke for a while, so the conversation was closed.",
  4409: "The conversation goes on in another window.",
  4413: "The connection was closed: too much was sent at once.",
  4429: "Too many at once. Try again later.",
  4500: "The voice service failed.",
  4503: "Too many people are talking right now. Try again soon.",
};

/**
 * @param {number} code of the WebSocket's close
 * @returns {string} what to tell the user
 */
export function closeWords(code) {
  return CLOSE_WORDS[code] ?? "The connection was closed.";
}

/** How a socket ends when a worker or the network goes, by server: see "Coming back" on the reference page. */
const LOST = new Set([1001, 1006, 1011, 1012]);

/**
 * @param {number} code of the WebSocket's close
 * @returns {boolean} whether a page that holds a resume token may come back with it; other ends were meant
 */
export function isLost(code) {
  return LOST.has(code);
}
