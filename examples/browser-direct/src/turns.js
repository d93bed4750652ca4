/**
 * What was said by whom, turn by turn, from the service's events.
 *
 * The service counts no turns. A sentence of the answer comes twice: as it is planned, before its sound, and as it was
 * said, seconds later, often not before more sound of the user has come, sometimes never.
 */

/** @import { News, ServiceEvent } from "./direct.js" */
/**
 * @typedef {{text: string, final: boolean, ms: number}} Sentence `ms`: how long its sound is
 * @typedef {{speechIn: number, textIn: number, speechOut: number, textOut: number}} Counts
 * @typedef {{type: string, role: string, final: boolean, turn: number}} Block
 */

/** One exchange, user then assistant; the service may begin with the second. */
export class Turn {
  /** @type {string[]} */
  user = [];
  /** @type {Sentence[]} */
  answer = [];
  interrupted = false;
  ended = false;
  heardMs = 0;
  /** @type {number | null} */
  endedMs = null;

  /** @param {number} number @param {number} startedMs */
  constructor(number, startedMs) {
    this.number = number;
    this.startedMs = startedMs;
  }

  get userText() {
    return this.user.join(" ");
  }

  /** As far as it was heard, where it was interrupted. */
  get assistantText() {
    let from = 0;
    const heard = this.answer.filter(({ ms, final }) => {
      const begun = from < this.heardMs || (final && ms === 0);
      from += ms;
      return begun;
    });
    return (this.interrupted ? heard : this.answer).map(({ text }) => text).join(" ");
  }
}

export class Turns {
  #msPerByte;
  #tell;
  /** @type {Turn[]} */
  #turns = [];
  /** @type {Map<string, Block>} by the service's contentId */
  #blocks = new Map();
  /** @type {Map<number, Counts>} */
  #usage = new Map();

  /** @param {number} outputRate Hz @param {(news: News) => void} tell */
  constructor(outputRate, tell) {
    this.#msPerByte = 1000 / (outputRate * 2);
    this.#tell = tell;
  }

  /** @param {number} number @returns {Turn | undefined} */
  get(number) {
    return this.#turns[number - 1];
  }

  /** @param {ServiceEvent} event @param {number} ms since the stream was opened */
  receive(event, ms) {
    const [name] = Object.keys(event);
    const body = event[name];
    switch (name) {
      case "contentStart":
        this.#start(body, ms);
        break;
      case "textOutput":
        this.#text(body, ms);
        break;
      case "audioOutput":
        this.#audio(body);
        break;
      case "contentEnd":
        this.#stop(body, ms);
        break;
      case "usageEvent":
        this.#spend(body);
    }
  }

  /** @param {number} number @param {number} ms */
  heard(number, ms) {
    const turn = this.get(number);
    if (turn) {
      turn.heardMs = Math.max(turn.heardMs, ms);
    }
  }

  /** Nothing more will come: an answer that had not ended was cut off. */
  close() {
    const last = this.#turns.at(-1);
    if (last && !last.ended) {
      last.interrupted = last.answer.length > 0;
      this.#endTurn(last, null);
    }
  }

  /** @param {any} body @param {number} ms */
  #start(body, ms) {
    const final = stageOf(body) === "FINAL";
    const planned = body.role === "ASSISTANT" && body.type === "TEXT" && !final;
    // A final sentence may belong to any turn; which one its text tells.
    const turn = planned ? this.#answering(ms) : this.#turns.at(-1);
    this.#blocks.set(body.contentId, { type: body.type, role: body.role, final, turn: turn?.number ?? 0 });
  }

  /** @param {any} body @param {number} ms */
  #text(body, ms) {
    const block = this.#blocks.get(body.contentId);
    if (!block) {
      return;
    }
    if (isInterruption(body.content)) {
      this.#interrupt(ms);
    } else if (block.role === "USER") {
      this.#userSaid(body.content, ms);
    } else if (block.final) {
      this.#said(body.content);
    } else {
      const turn = /** @type {Turn} */ (this.get(block.turn));
      turn.answer.push({ text: body.content.trim(), final: false, ms: 0 });
      this.#show(turn, "assistant");
    }
  }

  /** @param {any} body */
  #audio({ contentId, content }) {
    const turn = this.get(this.#blocks.get(contentId)?.turn ?? 0);
    if (!turn || turn.interrupted) {
      return; // what was still on its way when the user spoke
    }
    const sentence = turn.answer.at(-1);
    if (sentence) {
      const padding = content.endsWith("==") ? 2 : content.endsWith("=") ? 1 : 0;
      sentence.ms += ((content.length * 3) / 4 - padding) * this.#msPerByte;
    }
    this.#tell({ type: "audio", turn: turn.number, base64: content });
  }

  /** @param {any} body @param {number} ms */
  #stop({ contentId, stopReason }, ms) {
    const block = this.#blocks.get(contentId);
    this.#blocks.delete(contentId);
    const turn = this.get(block?.turn ?? 0);
    if (stopReason === "INTERRUPTED") {
      this.#interrupt(ms);
    } else if (block?.type === "AUDIO" && stopReason === "END_TURN" && turn && !turn.ended) {
      this.#endTurn(turn, ms);
    }
  }

  /** Told in up to three ways, and once for all that was under way. @param {number} ms */
  #interrupt(ms) {
    const turn = this.#turns.findLast(({ answer }) => answer.length > 0);
    if (turn && !turn.interrupted) {
      // Its sound comes faster than it is played: it may have ended here, and not at the loudspeaker.
      turn.interrupted = true;
      this.#tell({ type: "interrupted", turn: turn.number });
      if (!turn.ended) {
        this.#endTurn(turn, ms);
      }
    }
  }

  /** @param {string} text @param {number} ms */
  #userSaid(text, ms) {
    const last = this.#turns.at(-1);
    // One utterance may come in several pieces before the answer.
    const turn = last && !last.ended && last.answer.length === 0 ? last : this.#begin(ms);
    turn.user.push(text.trim());
    this.#show(turn, "user");
  }

  /** @param {string} content */
  #said(content) {
    const text = content.trim();
    for (const turn of this.#turns.toReversed()) {
      // What was interrupted is told as far as it was said.
      const sentence = turn.answer.find((planned) => !planned.final && planned.text.startsWith(text));
      if (sentence && text) {
        sentence.final = true;
        sentence.text = text;
        this.#show(turn, "assistant");
        return;
      }
    }
  }

  /** @param {number} ms @returns {Turn} the one that an answer belongs to which is announced now */
  #answering(ms) {
    const last = this.#turns.at(-1);
    return last && !last.ended ? last : this.#begin(ms);
  }

  /** @param {number} ms */
  #begin(ms) {
    const last = this.#turns.at(-1);
    if (last && !last.ended) {
      this.#endTurn(last, ms);
    }
    const turn = new Turn(this.#turns.length + 1, Math.max(0, Math.round(ms)));
    this.#turns.push(turn);
    this.#tell({ type: "turn_started", turn: turn.number });
    return turn;
  }

  /** @param {Turn} turn @param {number | null} ms */
  #endTurn(turn, ms) {
    turn.ended = true;
    turn.endedMs = ms === null ? null : Math.round(ms);
    this.#tell({ type: "turn_ended", turn: turn.number, interrupted: turn.interrupted });
  }

  /** @param {Turn} turn @param {"user" | "assistant"} role */
  #show(turn, role) {
    const text = role === "user" ? turn.userText : turn.answer.map((sentence) => sentence.text).join(" ");
    this.#tell({ type: "transcript", role, text, turn: turn.number });
  }

  /** @param {any} body */
  #spend({ details }) {
    const { input = {}, output = {} } = details?.delta ?? {};
    const number = this.#turns.at(-1)?.number ?? 0;
    const { speechIn = 0, textIn = 0, speechOut = 0, textOut = 0 } = this.#usage.get(number) ?? {};
    const counts = {
      speechIn: speechIn + (input.speechTokens ?? 0),
      textIn: textIn + (input.textTokens ?? 0),
      speechOut: speechOut + (output.speechTokens ?? 0),
      textOut: textOut + (output.textTokens ?? 0),
    };
    this.#usage.set(number, counts);
    this.#tell({ type: "usage", turn: number, counts });
  }
}

/** @param {any} body @returns {string | undefined} */
function stageOf({ additionalModelFields }) {
  try {
    return JSON.parse(additionalModelFields).generationStage;
  } catch {
    return undefined;
  }
}

/** The service writes a barge-in as a text; its spacing varies. @param {string} text */
function isInterruption(text) {
  try {
    return JSON.parse(text).interrupted === true;
  } catch {
    return false;
  }
}
