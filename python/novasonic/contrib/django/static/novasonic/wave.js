/** The level meter: the last two seconds of both sides as bars, and the glow of the talk button. */

const BARS = 64;
/** Speech is about 0.1 RMS; a meter that is linear to 1 hardly moves. @param {number} level */
const height = (level) => Math.min(1, Math.sqrt(level) * 1.8);

export class Wave {
  #canvas;
  #button;
  #conversation;
  /** @type {{loud: number, answers: boolean}[]} */
  #bars = [];
  #samples = new Float32Array(1024);
  #running = false;

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {HTMLElement} button gets `--loud`, 0 to 1
   * @param {import("./novasonic.js").NovaSonic} conversation
   */
  constructor(canvas, button, conversation) {
    this.#canvas = canvas;
    this.#button = button;
    this.#conversation = conversation;
  }

  /** Loudness of the user's side, once for each frame. @param {number} level RMS */
  level(level) {
    const speaking = this.#conversation.state === "speaking";
    const answer = speaking ? this.#answerLevel() : 0;
    const loud = height(Math.max(level, answer));
    this.#bars.push({ loud, answers: answer > level });
    this.#bars.splice(0, this.#bars.length - BARS);
    this.#button.style.setProperty("--loud", loud.toFixed(3));
  }

  /** @param {boolean} running */
  run(running) {
    const starts = running && !this.#running;
    this.#running = running;
    if (starts) {
      requestAnimationFrame(() => this.#draw());
    }
  }

  #answerLevel() {
    this.#conversation.playback?.analyser.getFloatTimeDomainData(this.#samples);
    return Math.sqrt(this.#samples.reduce((sum, sample) => sum + sample * sample, 0) / this.#samples.length);
  }

  #draw() {
    const { width, height: full } = this.#canvas;
    const pen = /** @type {CanvasRenderingContext2D} */ (this.#canvas.getContext("2d"));
    pen.clearRect(0, 0, width, full);
    if (!this.#running) {
      this.#bars = [];
      this.#button.style.setProperty("--loud", "0");
      return;
    }
    const style = getComputedStyle(this.#canvas);
    const colours = [style.getPropertyValue("--accent"), style.getPropertyValue("--answer")];
    const step = width / BARS;
    this.#bars.forEach(({ loud, answers }, index) => {
      const bar = Math.max(4, loud * full);
      pen.fillStyle = colours[Number(answers)];
      pen.beginPath();
      pen.roundRect(width - (this.#bars.length - index) * step, (full - bar) / 2, step * 0.6, bar, step * 0.3);
      pen.fill();
    });
    requestAnimationFrame(() => this.#draw());
  }
}
