/** The live transcript: a line for each side of a turn, a span for each sentence. */

export class Transcript {
  #list;
  /** @type {Map<string, HTMLElement>} */
  #lines = new Map();
  /** What was typed and has not come back from the server yet. @type {HTMLElement[]} */
  #typed = [];

  /** @param {HTMLElement} list */
  constructor(list) {
    this.#list = list;
  }

  /** Turns are numbered anew; what was said stays on the page. */
  begin() {
    this.#lines.clear();
  }

  /** A final text replaces the planned one of the same sentence. @param {import("./wire.js").Transcript} message */
  add({ role, text, final, turn, segment }) {
    const line = this.#line(role, turn, text);
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

  #newLine(role) {
    const line = document.createElement("p");
    line.className = "line";
    line.dataset.role = role;
    this.#list.append(line);
    return line;
  }

  #follow() {
    this.#list.scrollTop = this.#list.scrollHeight;
  }
}
