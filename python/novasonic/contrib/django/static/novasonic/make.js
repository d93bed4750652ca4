/** Elements without markup: nothing here parses a string, so that Trusted Types have nothing to refuse. */

/**
 * Make an element.
 *
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, string>} [attributes]
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/**
 * Draw an icon of 24 by 24.
 *
 * @param {string} className
 * @param {string} path of its lines
 */
export function icon(className, path) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", className);
  svg.setAttribute("aria-hidden", "true");
  const line = svg.appendChild(document.createElementNS(space, "path"));
  line.setAttribute("d", path);
  return svg;
}

/**
 * Put values into words.
 *
 * @param {string} words
 * @param {Record<string, string | number>} values by the names in braces
 */
export const fill = (words, values) => words.replace(/\{(\w+)\}/g, (all, name) => String(values[name] ?? all));

/**
 * Show what would hide: characters without a shape, spaces that are none of the usual, and what turns the direction of
 * writing.
 *
 * @param {string} text
 * @returns {string}
 */
export const visible = (text) =>
  text.replace(
    /(?![ \n])[\p{C}\p{Z}\p{DI}\u2800]/gu,
    (character) => `\\u{${/** @type {number} */ (character.codePointAt(0)).toString(16)}}`,
  );
