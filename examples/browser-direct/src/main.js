/** The page: one button, what is said, and what the user should know. */

import { MicrophoneError } from "novasonic/microphone.js";

import { Conversation } from "./conversation.js";
import { Refused, Server } from "./server.js";

/** @type {Record<string, string>} */
const STATES = {
  connecting: "Connecting …",
  listening: "Listening",
  speaking: "Speaking",
  ended: "Over. Talk again to begin another conversation, which knows nothing of this one.",
};
/** @type {Record<string, string>} */
const MICROPHONES = {
  denied: "The microphone is blocked for this page. Allow it in the address bar.",
  missing: "No microphone was found.",
  busy: "The microphone is in use by another program.",
  insecure: "Browsers give a microphone to pages on https or localhost only.",
};
/** @type {Record<string, string>} */
const ENDS = {
  limit: "Eight minutes are over: the service ends each stream then.",
  gone: "The service ended the conversation.",
};

const root = /** @type {HTMLElement & {conversation?: Conversation | null}} */ (document.querySelector("[data-direct]"));
const part = (/** @type {string} */ name) => /** @type {HTMLElement} */ (root.querySelector(`[data-part="${name}"]`));
const { keysUrl = "", reportUrl = "", endpoint, captureWorklet = "", playbackWorklet = "" } = root.dataset;
const server = new Server({ keysUrl, reportUrl });

/** @param {string} words */
function notice(words) {
  part("notice").textContent = words;
}

/** @param {{role: string, text: string, turn: number}} line */
function show({ role, text, turn }) {
  const id = `${role}-${turn}`;
  let line = part("captions").querySelector(`[data-id="${id}"]`);
  if (!line) {
    line = document.createElement("p");
    line.setAttribute("data-id", id);
    line.setAttribute("data-role", role);
    part("captions").append(line);
  }
  line.textContent = text;
}

async function talk() {
  notice("");
  part("captions").textContent = "";
  const conversation = new Conversation({
    server,
    system: part("system").textContent.trim(),
    voice: "tiffany",
    endpoint,
    captureWorklet,
    playbackWorklet,
  });
  root.conversation = conversation;
  const on = (/** @type {string} */ type, /** @type {(detail: any) => void} */ react) =>
    conversation.addEventListener(type, (event) => react(/** @type {CustomEvent} */ (event).detail));
  on("state", ({ state }) => (part("state").textContent = STATES[state]));
  on("transcript", show);
  on("ending", ({ seconds }) => notice(`This conversation ends in ${seconds} seconds.`));
  on("ended", ({ reason }) => notice(ENDS[reason] ?? ""));
  root.dispatchEvent(new CustomEvent("conversation", { detail: conversation }));
  part("talk").textContent = "Stop";
  try {
    await conversation.start();
  } catch (error) {
    notice(wordsFor(error));
  } finally {
    root.conversation = null;
    part("talk").textContent = "Talk";
  }
}

/** @param {unknown} error @returns {string} */
function wordsFor(error) {
  if (error instanceof MicrophoneError) {
    return MICROPHONES[error.code] ?? error.message;
  }
  if (error instanceof Refused) {
    return error.message;
  }
  // All that a browser tells of a WebSocket that was refused, whatever the reason was.
  return "The service could not be reached, or refused the keys, the model or one more stream. The page cannot know which.";
}

part("talk").addEventListener("click", () => (root.conversation ? root.conversation.stop() : void talk()));
