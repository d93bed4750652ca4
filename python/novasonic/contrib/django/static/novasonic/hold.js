/** A button that is held. */

const TAKES_SPACE = `input,textarea,select,button,a,summary,audio,video,[contenteditable],[tabindex="0"]`;

/**
 * Tell when a button is held, by pointer or key, or the space bar where it neither types nor presses anything else.
 *
 * @param {HTMLElement} button
 * @param {{
 *   everywhere: () => boolean,
 *   also: HTMLElement,
 *   tell: (down: boolean) => void,
 *   signal: AbortSignal,
 * }} options `everywhere`: whether the space bar counts outside the button now, and on the button `also`
 */
export function holdable(button, { everywhere, also, tell, signal }) {
  /** @param {KeyboardEvent} event */
  const isKey = (event) => {
    // From the innermost on, through open shadow roots.
    const path = /** @type {Element[]} */ (event.composedPath());
    if (path[0] === button) {
      return event.key === " " || event.key === "Enter";
    }
    if (event.key !== " " || !everywhere()) {
      return false;
    }
    // A custom element that keeps its inside to itself may have a text field there.
    return path[0] === also || !(path[0].localName?.includes("-") || path.some((node) => node.matches?.(TAKES_SPACE)));
  };
  const up = () => tell(false);
  button.addEventListener(
    "pointerdown",
    (event) => {
      if (event.button === 0) {
        button.setPointerCapture(event.pointerId);
        tell(true);
      }
    },
    { signal },
  );
  for (const type of ["pointerup", "pointercancel", "lostpointercapture"]) {
    button.addEventListener(type, up, { signal });
  }
  // A long touch is no wish for a menu.
  button.addEventListener("contextmenu", (event) => event.preventDefault(), { signal });
  document.addEventListener(
    "keydown",
    (event) => {
      if (isKey(event) && !event.defaultPrevented && !event.ctrlKey && !event.altKey && !event.metaKey) {
        event.preventDefault();
        tell(true);
      }
    },
    { signal },
  );
  document.addEventListener(
    "keyup",
    (event) => {
      if (isKey(event)) {
        event.preventDefault(); // Firefox presses a button at this one
      }
      // Wherever the focus went meanwhile: a microphone must not stay open.
      if (event.key === " " || event.key === "Enter") {
        up();
      }
    },
    { signal },
  );
  window.addEventListener("blur", up, { signal });
}
