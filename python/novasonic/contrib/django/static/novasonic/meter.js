/** The level meter: the last two seconds of both sides as bars, and the glow of the button. */

const BARS = 64;
/** Speech is about 0.1 RMS; a meter that is linear to 1 hardly moves. @param {number} level */
const height = (level) => Math.min(1, Math.sqrt(level) * 1.8);

export class Meter {
  #canvas;
  #button;
  /** @type {{loud: number, answers: boolean}[]} */
  #bars = [];
  #running = false;
  #still = matchMedia("(prefers-reduced-motion: reduce)");

  /**
   * @param {HTMLCanvasElement} canvas its `color` is the user's, its `outline-color` the answer's
   * @param {HTMLElement} button gets `--loud`, 0 to 1
   */
  constructor(canvas, button) {
    this.#canvas = canvas;
    this.#button = button;
  }

  /** RMS of both sides, once for each frame. @param {{level: number, answer: number}} levels */
  level({ level, answer }) {
    const loud = height(Math.max(level, answer));
    this.#bars.push({ loud, answers: answer > level });
    this.#bars.splice(0, this.#bars.length - BARS);
    this.#glow(loud);
  }

  /** @param {boolean} running */
  run(running) {
    const starts = running && !this.#running;
    this.#running = running;
    if (starts) {
      requestAnimationFrame(() => this.#draw());
    }
  }

  /** @param {number} loud */
  #glow(loud) {
    this.#button.style.setProperty("--loud", loud.toFixed(3));
  }

  #draw() {
    const canvas = this.#canvas;
    // Setting the size wipes the canvas; and so are its pixels the screen's own.
    const width = (canvas.width = canvas.clientWidth * devicePixelRatio);
    const full = (canvas.height = canvas.clientHeight * devicePixelRatio);
    if (!this.#running) {
      this.#bars = [];
      this.#glow(0);
      return;
    }
    const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    const { color, outlineColor } = getComputedStyle(canvas);
    const step = width / BARS;
    this.#bars.forEach(({ loud, answers }, index, { length }) => {
      const bar = Math.max(step * 0.6, loud * full);
      // Nothing wanders for those who want no motion: one bar in the middle.
      const x = this.#still.matches ? width / 2 : width - (length - index) * step;
      if (!this.#still.matches || index === length - 1) {
        pen.fillStyle = answers ? outlineColor : color;
        pen.beginPath();
        pen.roundRect(x, (full - bar) / 2, step * 0.6, bar, step * 0.3);
        pen.fill();
      }
    });
    requestAnimationFrame(() => this.#draw());
  }
}
