/** What the page asks of its own server: keys, and to take reports. */

/**
 * @typedef {{
 *   accessKeyId: string, secretAccessKey: string, sessionToken: string, expiration: string,
 *   region: string, model: string, grant?: string,
 * }} Keys `grant` is there where the server takes reports
 */

/** The server said no; the message is for the user. */
export class Refused extends Error {
  /** @param {string} message @param {number} status @param {number} retryAfterMs 0: trying again does not help */
  constructor(message, status, retryAfterMs) {
    super(message);
    this.status = status;
    this.retryAfterMs = retryAfterMs;
  }
}

export class Server {
  #keysUrl;
  #reportUrl;
  #token = "";

  /** @param {{keysUrl: string, reportUrl: string}} addresses */
  constructor({ keysUrl, reportUrl }) {
    this.#keysUrl = keysUrl;
    this.#reportUrl = reportUrl;
  }

  /** @returns {Promise<Keys>} good for 900 seconds; each set counts as one conversation */
  async keys() {
    // A token of another sign-in would be refused: it is asked for with each set of keys.
    this.#token = (await answerOf(await fetch(this.#keysUrl))).csrfToken;
    return answerOf(await this.#post(this.#keysUrl));
  }

  /** @param {object} report @param {boolean} [leaving] let it arrive although the page is closed */
  async report(report, leaving = false) {
    await answerOf(await this.#post(this.#reportUrl, report, leaving));
  }

  /** @param {string} url @param {object} [body] @param {boolean} [keepalive] */
  #post(url, body, keepalive = false) {
    return fetch(url, {
      method: "POST",
      headers: { "X-CSRFToken": this.#token, "Content-Type": "application/json" },
      body: JSON.stringify(body),
      keepalive,
    });
  }
}

/** @param {Response} response */
async function answerOf(response) {
  if (response.ok) {
    return response.json();
  }
  const { message = "The server gives no answer." } = await response.json().catch(() => ({}));
  throw new Refused(message, response.status, 1000 * Number(response.headers.get("Retry-After") ?? 0));
}
