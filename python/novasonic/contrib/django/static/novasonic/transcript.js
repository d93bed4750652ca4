/**
 * The live transcript: a line for each side of a turn, a span for each sentence, a small line for each tool.
 *
 * All that came from elsewhere is set as text, never as markup.
 */

export class Transcript {
  #list;
  /** @type {Map<string, HTMLElement>} */
  #lines = new Map();
  /** What was typed and has not come back from the server yet. @type {HTMLElement[]} */
  #typed = [];
  /**
   * Tool calls that have no result yet, by id.
   *
   * @type {Map<string, {line?: HTMLElement, question?: HTMLElement}>}
   */
  #calls = new Map();

  /** @param {HTMLElement} list */
  constructor(list) {
    this.#list = list;
  }

  /** Turns are numbered anew; what was said stays on the page. */
  begin() {
    this.#lines.clear();
  }

  /** What was said after `turn` is not part of the conversation any more; its numbers are given again. @param {number} turn */
  resume(turn) {
    for (const [key, line] of this.#lines) {
      if (parseInt(key, 10) > turn) {
        line.setAttribute("data-cut", "");
        this.#lines.delete(key);
      }
    }
    this.end();
  }

  /** A final text replaces the planned one of the same sentence. @param {import("./types.d.ts").Transcript} message */
  add({ role, text, final, turn, segment }) {
    const line = this.#line(role, turn, text);
    /** @type {HTMLElement | null} */
    let sentence = line.querySelector(`[data-segment="${segment}"]`);
    if (!sentence) {
      sentence = document.createElement("span");
      sentence.dataset.segment = String(segment);
      line.append(line.childNodes.length > 0 ? " " : "", sentence);
    }
    sentence.textContent = text;
    sentence.dataset.final = String(final);
    this.#follow();
  }

  /** Show what the user typed at once. @param {string} text */
  typed(text) {
    const line = this.#newLine("user");
    const sentence = document.createElement("span");
    sentence.dataset.segment = "0";
    sentence.textContent = text;
    line.append(sentence);
    this.#typed.push(line);
    this.#follow();
  }

  /** Mark an answer as cut short. @param {number} turn */
  cut(turn) {
    this.#lines.get(`${turn} assistant`)?.setAttribute("data-cut", "");
  }

  /** Say which tool is at work, and how that ended. @param {import("./types.d.ts").Tool} message */
  tool({ id, name, state, ok }) {
    const call = this.#call(id);
    call.line ??= this.#append("p", "tool-line");
    const words = name.replaceAll("_", " ");
    if (state === "called") {
      call.line.textContent = `Looking up: ${words} …`;
    } else {
      const done = call.question ? "Done" : "Looked up";
      call.line.textContent = `${ok ? done : "Not done"}: ${words}`;
      call.question?.remove();
      this.#calls.delete(id);
    }
    call.line.dataset.state = state === "called" ? "called" : ok ? "done" : "failed";
    this.#follow();
  }

  /**
   * Ask the user whether a call may run. The question goes with the call's result.
   *
   * @param {import("./types.d.ts").ToolApproval} message
   * @param {(approve: boolean) => void} decide called once
   */
  ask({ id, name, arguments: given }, decide) {
    const question = this.#append("div", "approval");
    this.#call(id).question = question;
    question.setAttribute("role", "group");
    question.setAttribute("aria-label", `May ${name} run?`);
    const ask = document.createElement("p");
    ask.textContent = `May this be done? ${name}`;
    const shown = document.createElement("pre");
    shown.textContent = visible(JSON.stringify(given, null, 2));
    const buttons = [true, false].map((approve) => {
      const button = document.createElement("button");
      button.type = "button";
      button.className = approve ? "primary" : "quiet";
      button.textContent = approve ? "Yes" : "No";
      button.addEventListener("click", () => {
        for (const other of buttons) {
          other.disabled = true;
        }
        decide(approve);
      });
      return button;
    });
    question.append(ask, shown, ...buttons);
    this.#follow();
  }

  /** Take back the questions of a conversation that is over. */
  end() {
    for (const { question } of this.#calls.values()) {
      question?.remove();
    }
    this.#calls.clear();
  }

  /** @param {string} id */
  #call(id) {
    const call = this.#calls.get(id) ?? {};
    this.#calls.set(id, call);
    return call;
  }

  /**
   * @param {string} role
   * @param {number | null} turn
   * @param {string} text
   */
  #line(role, turn, text) {
    const key = `${turn} ${role}`;
    let line = this.#lines.get(key);
    if (!line && role === "user") {
      const at = this.#typed.findIndex((typed) => typed.textContent === text);
      line = at < 0 ? undefined : this.#typed.splice(at, 1)[0];
    }
    line ??= this.#newLine(role);
    this.#lines.set(key, line);
    return line;
  }

  /** @param {string} role */
  #newLine(role) {
    const line = this.#append("p", "line");
    line.dataset.role = role;
    return line;
  }

  /** @param {string} tag @param {string} className */
  #append(tag, className) {
    const element = document.createElement(tag);
    element.className = className;
    this.#list.append(element);
    return element;
  }

  #follow() {
    this.#list.scrollTop = this.#list.scrollHeight;
  }
}

/**
 * Show what would hide: characters without a shape, and those that turn the direction of writing.
 *
 * @param {string} text
 * @returns {string}
 */
export function visible(text) {
  return text.replace(/[^\P{C}\n]/gu, (character) => {
    const code = /** @type {number} */ (character.codePointAt(0));
    return `\\u{${code.toString(16)}}`;
  });
}
