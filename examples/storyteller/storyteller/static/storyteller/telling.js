/**
 * What this site's page adds to `<nova-sonic-talk>`: the choices of each chapter, how far the story is, the narrator's
 * voice, and what it takes in time and money. The element knows nothing of stories; its `nova` tells what happens.
 */

/** @import { NovaSonicTalk } from "../../../../../python/novasonic/contrib/django/static/novasonic/element.js" */

/**
 * Where a telling stands, as `telling.standing` of the site says it.
 *
 * @typedef {{chapter: number, chapters: number, ended: boolean, choices: string[], chosen: string[]}} Standing
 */

/** @template {HTMLElement} T @param {string} id @returns {T} */
const byId = (id) => /** @type {T} */ (document.getElementById(id));
const talk = /** @type {NovaSonicTalk} */ (document.querySelector("nova-sonic-talk"));

/** So many of the last answers make what is usual. */
const ANSWERS = 20;
/** Tools after which the story may stand elsewhere. */
const TURNS_PAGES = ["next_chapter", "remember_choice"];

/** @param {number} ms */
const seconds = (ms) => `${(ms / 1000).toFixed(2)} s`;
/** @param {number} usd */
const dollars = (usd) => `$${usd.toFixed(4)}`;

/** @param {number[]} values */
function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** @param {Standing} standing */
function show({ chapter, chapters, ended, choices, chosen }) {
  byId("where").textContent = ended ? "The end" : chapter ? `Chapter ${chapter} of ${chapters}` : `${chapters} chapters wait`;
  document.querySelectorAll(".lamps li").forEach((lamp, index) => lamp.classList.toggle("lit", index < chapter));
  const path = byId("path");
  path.hidden = chosen.length === 0;
  /** @type {HTMLElement} */ (path.firstElementChild).textContent = chosen.join(", to ");
  offer(choices);
}

/** Put the choices there; the focus stays among them where it was. @param {string[]} choices */
function offer(choices) {
  const list = byId("choices");
  const buttons = [...list.querySelectorAll("button:not(.quiet)")].map((button) => /** @type {HTMLElement} */ (button));
  if (choices.join() === buttons.map(({ dataset }) => dataset.say).join()) {
    return;
  }
  const focused = list.contains(document.activeElement);
  list.replaceChildren(
    ...choices.map((choice) => {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "fresh";
      button.dataset.say = choice;
      button.textContent = choice.charAt(0).toUpperCase() + choice.slice(1);
      return button;
    }),
  );
  if (focused) {
    list.querySelector("button")?.focus();
  }
}

let asked = 0;

/** Ask the site where the story stands. */
async function look() {
  const mine = ++asked;
  const answer = await fetch(talk.dataset.standing ?? "", { headers: { Accept: "application/json" } }).catch(() => null);
  // The choices stay as they were where the network fails; of two answers the later question's counts.
  if (answer?.ok && mine === asked) {
    show(await answer.json());
  }
}

/** @type {number[]} */
const answers = [];
/** What the telling cost before the socket that is open. */
let before = Number(byId("figures").dataset.before);
let usd = 0;

const { nova } = talk;
nova.addEventListener("tool", ({ detail }) => {
  if (detail.state === "finished" && TURNS_PAGES.includes(detail.name)) {
    void look();
  }
});
nova.addEventListener("turn_ended", ({ detail: { responseMs } }) => {
  if (responseMs != null) {
    answers.push(responseMs);
    answers.splice(0, answers.length - ANSWERS);
    byId("latency").textContent = seconds(responseMs);
    byId("usual").textContent = seconds(median(answers));
  }
});
nova.addEventListener("initialized", () => {
  // The server counts anew for each socket.
  before += usd;
  usd = 0;
});
nova.addEventListener("usage", ({ detail }) => {
  usd = detail.usd;
  byId("cost").textContent = dollars(usd);
  byId("total").textContent = dollars(before + usd);
});

/** @type {HTMLSelectElement} */
const voice = byId("voice");
voice.addEventListener("change", () => {
  talk.setAttribute("voice", voice.value);
  // A conversation has one voice to its end. The next begins with the new one, and knows what was told.
  nova.stop();
  byId("successor").textContent = `${voice.selectedOptions[0].text.trim()} goes on from here.`;
});
nova.addEventListener("turn_started", () => {
  byId("successor").textContent = "";
});
