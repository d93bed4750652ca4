/**
 * The browser wire, version 1, without I/O: frames of the server become messages, wishes of the page become frames.
 *
 * docs/reference/browser-wire.md describes every message; wire.py and messages.py are this module's twins on the server.
 */

/** @import { Choices, ServerMessage } from "./types.d.ts" */

export const PROTOCOL = 1;

/** What each message must hold; a question mark allows null. @type {Record<string, Record<string, string>>} */
const FIELDS = {
  initialized: { protocol: "number", sessionId: "string", inputRate: "number", outputRate: "number", resumeToken: "string?" },
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
  for (const [field, type] of Object.entries(FIELDS[message.type])) {
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

/** @param {Choices} [choices] */
export const initialize = (choices) => JSON.stringify({ type: "initialize", ...choices });

/** @param {string} text @param {string} messageId comes back in the `error` of a refused text */
export const textMessage = (text, messageId) => JSON.stringify({ type: "text_message", text, messageId });

/** @param {string} audio base64 @param {boolean} isComplete whether the speaker pauses after it */
export const audioChunk = (audio, isComplete) => JSON.stringify({ type: "audio_chunk", audio, isComplete });

/** @param {number} turn @param {number} ms of the turn's audio that have been played so far */
export const played = (turn, ms) => JSON.stringify({ type: "played", turn, ms: Math.round(ms) });

/** @param {string} id of the call @param {boolean} approve whether it may run */
export const toolApproval = (id, approve) => JSON.stringify({ type: "tool_approval", id, approve });

/** @param {"interrupt" | "mute" | "unmute" | "close"} type */
export const command = (type) => JSON.stringify({ type });

/** How a socket ends when a worker or the network goes, by server: see "Coming back" on the reference page. */
const LOST = [1001, 1006, 1011, 1012];

/**
 * @param {number} code of the WebSocket's close
 * @returns {boolean} whether a page that holds a resume token may come back with it; other ends were meant
 */
export const isLost = (code) => LOST.includes(code);
