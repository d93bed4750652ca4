/**
 * The live captions: a line for each side of a turn, a span for each sentence, a small line for each tool; beside them
 * the questions of tools that wait for the user.
 *
 * What is planned changes while one reads it, so a screen reader is told of final sentences alone, and of each once.
 * All that came from elsewhere is set as text, never as markup.
 */

/** @import { Tool, ToolApproval, Transcript } from "./types.d.ts" */

import { fill, make, visible } from "./make.js";

/** From how far above the end, in pixels, one is taken to read what was said before. */
const READS_BACK = 60;

export class Captions {
  #list;
  #questions;
  #say;
  #words;
  /** By turn and role. @type {Map<string, HTMLElement>} */
  #lines = new Map();
  /** What was typed and has not come back from the server yet. @type {{text: string, line: HTMLElement}[]} */
  #typed = [];
  /**
   * Tool calls that have no result yet, by id.
   *
   * @type {Map<string, {line?: HTMLElement, question?: HTMLElement}>}
   */
  #calls = new Map();

  /**
   * @param {HTMLElement} list
   * @param {HTMLElement} questions
   * @param {(text: string) => void} say tells a screen reader
   * @param {() => Record<string, string>} words of labels.js
   */
  constructor(list, questions, say, words) {
    this.#list = list;
    this.#questions = questions;
    this.#say = say;
    this.#words = words;
  }

  /** Turns are numbered anew; what was said stays. */
  begin() {
    this.#lines.clear();
  }

  /** What was said after `turn` is not part of the conversation any more; its numbers are given again. @param {number} turn */
  resume(turn) {
    for (const [key, line] of this.#lines) {
      if (parseInt(key, 10) > turn) {
        this.#cut(line);
        this.#lines.delete(key);
      }
    }
    this.end();
  }

  /** A final text replaces the planned one of the same sentence. @param {Transcript} message */
  add({ role, text, final, turn, segment }) {
    const key = `${turn} ${role}`;
    let line = this.#lines.get(key);
    const typed = line || role !== "user" ? -1 : this.#typed.findIndex((typed) => typed.text === text);
    line ??= typed < 0 ? this.#newLine(role) : this.#typed.splice(typed, 1)[0].line;
    this.#lines.set(key, line);
    /** @type {HTMLElement | null} */
    let sentence = line.querySelector(`[data-segment="${segment}"]`);
    if (!sentence) {
      sentence = this.#sentence(line, segment);
    }
    // Whoever typed a sentence has read it.
    if (final && sentence.dataset.final !== "true" && typed < 0) {
      this.#say(role === "user" ? `${this.#words().you}: ${text}` : text);
    }
    this.#append(() => {
      sentence.textContent = text;
      sentence.dataset.final = String(final);
    });
  }

  /** Show what the user typed at once. @param {string} text @returns {() => void} takes it back: it was not sent */
  typed(text) {
    const line = this.#newLine("user");
    const sentence = this.#sentence(line, 0);
    this.#append(() => {
      sentence.textContent = text;
      sentence.dataset.final = "true";
    });
    const typed = { text, line };
    this.#typed.push(typed);
    return () => {
      this.#typed = this.#typed.filter((each) => each !== typed);
      line.remove();
    };
  }

  /** Mark an answer as cut short. @param {number} turn */
  cut(turn) {
    this.#cut(this.#lines.get(`${turn} assistant`));
  }

  /** Say which tool is at work, and how that ended. @param {Tool} message */
  tool({ id, name, state, ok }) {
    const call = this.#call(id);
    const called = state === "called";
    const words = this.#words();
    const line = (call.line ??= make("p", { part: "tool" }));
    const how = called ? words.toolCalled : !ok ? words.toolFailed : call.question ? words.toolAllowed : words.toolDone;
    this.#append(() => {
      line.textContent = fill(how, { name: name.replaceAll("_", " ") });
      line.dataset.state = called ? "called" : ok ? "done" : "failed";
      if (!line.isConnected) {
        this.#list.append(line);
      }
    });
    if (!called) {
      this.#settle(call);
      this.#calls.delete(id);
    }
  }

  /**
   * Ask the user whether a call may run. The question goes with the call's result.
   *
   * @param {ToolApproval} message
   * @param {(approve: boolean) => void} decide called once
   */
  ask({ id, name, arguments: given }, decide) {
    const words = this.#words();
    const title = fill(words.ask, { name: visible(name) });
    const buttons = [true, false].map((yes) =>
      make("button", { type: "button", part: yes ? "yes" : "no", class: yes ? "" : "quiet" }, yes ? words.yes : words.no),
    );
    const question = make(
      "div",
      { part: "question", role: "group", "aria-label": title },
      make("p", {}, title),
      // Whole, and to be scrolled by keys where it is long.
      make("pre", { part: "arguments", dir: "ltr", tabindex: "0" }, visible(JSON.stringify(given, null, 2))),
      ...buttons,
    );
    buttons.forEach((button, index) => {
      button.addEventListener("click", () => {
        if (button.ariaDisabled !== "true") {
          // Disabled in earnest they would lose the focus before the question is gone.
          buttons.forEach((each) => (each.ariaDisabled = "true"));
          decide(index === 0);
        }
      });
    });
    const call = this.#call(id);
    call.question = question;
    // It is not being done yet; how it ends is said below.
    call.line?.remove();
    this.#questions.append(question);
    this.#say(title);
  }

  /** Take back the questions of a conversation that is over. */
  end() {
    for (const call of this.#calls.values()) {
      this.#settle(call);
    }
    this.#calls.clear();
  }

  /** @param {{question?: HTMLElement}} call */
  #settle({ question }) {
    if (question?.contains(/** @type {ShadowRoot} */ (question.getRootNode()).activeElement)) {
      this.#list.focus();
    }
    question?.remove();
  }

  /** @param {string} id */
  #call(id) {
    const call = this.#calls.get(id) ?? {};
    this.#calls.set(id, call);
    return call;
  }

  /** @param {HTMLElement | undefined} line */
  #cut(line) {
    if (line && !line.querySelector("em")) {
      this.#append(() => line.lastElementChild?.append(" ", make("em", { part: "cut" }, this.#words().cut)));
    }
  }

  /** @param {string} role */
  #newLine(role) {
    const words = this.#words();
    const who = make("span", { class: "unseen" }, `${role === "user" ? words.you : words.answer}: `);
    // What is said runs in its own direction, whatever that of the page is.
    const line = make("p", { part: `line ${role}`, "data-role": role }, who, make("span", { class: "text", dir: "auto" }));
    this.#append(() => this.#list.append(line));
    return line;
  }

  /** @param {HTMLElement} line @param {number} segment */
  #sentence(line, segment) {
    const text = /** @type {HTMLElement} */ (line.lastElementChild);
    const sentence = make("span", { "data-segment": String(segment) });
    text.append(text.childElementCount ? " " : "", sentence);
    return sentence;
  }

  /** Change the list, and stay at its end unless one reads what was said before. @param {() => void} change */
  #append(change) {
    const list = this.#list;
    const follows = list.scrollHeight - list.scrollTop - list.clientHeight < READS_BACK;
    change();
    if (follows) {
      list.scrollTop = list.scrollHeight;
    }
  }
}
