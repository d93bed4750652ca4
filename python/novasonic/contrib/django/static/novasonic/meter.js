/** The level meter: the last two seconds of both sides as bars, and the glow of the button. */

const BARS = 64;
/** Speech is about 0.1 RMS; a meter that is linear to 1 hardly moves. @param {number} level */
const height = (level) => Math.min(1, Math.sqrt(level) * 1.8);

/** @returns {{loud: number, answers: boolean}[]} */
const rest = () => Array(BARS).fill({ loud: 0, answers: false });

export class Meter {
  #canvas;
  #button;
  #bars = rest();
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
    this.#bars.shift();
    this.#glow(loud);
  }

  /** Draw from now on, or the line of rest. @param {boolean} running */
  run(running) {
    const draws = this.#running;
    this.#running = running;
    if (!draws) {
      requestAnimationFrame(() => this.#draw());
    }
  }

  /** @param {number} loud */
  #glow(loud) {
    this.#button.style.setProperty("--loud", loud.toFixed(3));
  }

  #draw() {
    const canvas = this.#canvas;
    if (!this.#running) {
      this.#bars = rest();
      this.#glow(0);
    }
    // Setting the size wipes the canvas; and so are its pixels the screen's own.
    const width = (canvas.width = canvas.clientWidth * devicePixelRatio);
    const full = (canvas.height = canvas.clientHeight * devicePixelRatio);
    const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    const { color, outlineColor } = getComputedStyle(canvas);
    const step = width / BARS;
    this.#bars.forEach(({ loud, answers }, index) => {
      // Nothing wanders for those who want no motion: all bars stand as high as the last.
      const bar = Math.max(step * 0.6, full * (this.#still.matches ? (this.#bars.at(-1)?.loud ?? 0) : loud));
      pen.globalAlpha = loud ? 1 : 0.4;
      pen.fillStyle = answers ? outlineColor : color;
      pen.beginPath();
      pen.roundRect(index * step, (full - bar) / 2, step * 0.6, bar, step * 0.3);
      pen.fill();
    });
    if (this.#running) {
      requestAnimationFrame(() => this.#draw());
    }
  }
}
