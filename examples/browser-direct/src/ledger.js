/** What of a conversation the server has not acknowledged yet, as reports; without I/O. */

/** @import { Counts, Turn } from "./turns.js" */
/** @import { Reason } from "./direct.js" */

/** The server takes no more at once. */
const AT_ONCE = 20;
/** The server takes texts of 16,000 characters, and 65,536 bytes of all: two such texts, whatever their script. */
const TEXT_CHARS = 4_000;
const TEXTS_CHARS = 14_000;

/** @typedef {{kind: "turns" | "usage", value: Record<string, any>, version: number}} Entry */

export class Ledger {
  #grant;
  #voice;
  #number = 0;
  #version = 0;
  /** @type {Map<string, Entry>} */
  #waiting = new Map();
  /** @type {Reason | null} */
  #ended = null;
  #endTold = false;

  /** @param {{grant: string, voice: string}} options */
  constructor({ grant, voice }) {
    this.#grant = grant;
    this.#voice = voice;
  }

  /** @returns {boolean} whether the server knows all of it */
  get settled() {
    return this.#waiting.size === 0 && (this.#ended === null || this.#endTold);
  }

  /** A turn as it stands now. @param {Turn} turn */
  turn(turn) {
    this.#put("turns", turn.number, {
      number: turn.number,
      startedMs: turn.startedMs,
      userText: cut(turn.userText),
      assistantText: cut(turn.assistantText),
      interrupted: turn.interrupted,
      ms: turn.endedMs === null ? null : turn.endedMs - turn.startedMs,
    });
  }

  /** What a turn has used until now. @param {number} turn @param {Counts} counts */
  usage(turn, counts) {
    this.#put("usage", turn, { turn, ...counts });
  }

  /** @param {Reason} reason */
  end(reason) {
    this.#ended ??= reason;
  }

  /**
   * All that is not acknowledged, as far as one report holds it. Whether the one before arrived does not matter: what is
   * told twice is written once.
   *
   * @returns {{report: object, acknowledge: () => void} | null} null: there is nothing to tell
   */
  next() {
    if (this.settled) {
      return null;
    }
    /** @type {{turns: object[], usage: object[]}} */
    const told = { turns: [], usage: [] };
    /** @type {[string, number][]} */
    const taken = [];
    let chars = 0;
    for (const [key, { kind, value, version }] of this.#waiting) {
      chars += (value.userText?.length ?? 0) + (value.assistantText?.length ?? 0);
      if (told[kind].length < AT_ONCE && (chars <= TEXTS_CHARS || taken.length === 0)) {
        told[kind].push(value);
        taken.push([key, version]);
      }
    }
    // The end is told with the last of it.
    const ended = taken.length === this.#waiting.size ? this.#ended : null;
    this.#number += 1;
    return {
      report: { grant: this.#grant, number: this.#number, voice: this.#voice, ...told, ended },
      acknowledge: () => {
        this.#endTold ||= ended !== null;
        for (const [key, version] of taken) {
          if (this.#waiting.get(key)?.version === version) {
            this.#waiting.delete(key);
          }
        }
      },
    };
  }

  /** @param {"turns" | "usage"} kind @param {number} number @param {Record<string, any>} value */
  #put(kind, number, value) {
    this.#version += 1;
    this.#waiting.set(`${kind} ${number}`, { kind, value, version: this.#version });
  }
}

/** @param {string} text */
function cut(text) {
  return text.length <= TEXT_CHARS ? text : `${text.slice(0, TEXT_CHARS - 1).replace(/[\ud800-\udbff]$/, "")}…`;
}
