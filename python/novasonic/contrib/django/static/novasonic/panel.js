/** What the element is made of: its panel, and the parts of it that change. */

import { icon, make } from "./make.js";

const MICROPHONE = "M12 2.5a3 3 0 0 0-3 3v6a3 3 0 0 0 6 0v-6a3 3 0 0 0-3-3M5 11.5a7 7 0 0 0 14 0M12 18.5v3";
const STOP = "M8 7h8a1 1 0 0 1 1 1v8a1 1 0 0 1-1 1H8a1 1 0 0 1-1-1V8a1 1 0 0 1 1-1z";

/** @param {Record<string, string>} words of labels.js */
export function build(words) {
  /** @param {string} name @param {string} [hint] */
  const toggle = (name, hint = "") =>
    make("button", { type: "button", part: name, class: "quiet", "aria-pressed": "false", title: hint }, words[name]);
  const button = make(
    "button",
    { type: "button", part: "button", class: "orb", "aria-describedby": "state" },
    icon("microphone", MICROPHONE),
    icon("stop", STOP),
  );
  const meter = make("canvas", { part: "meter", "aria-hidden": "true" });
  const state = make("p", { part: "state", id: "state" });
  const notice = make("p", { part: "notice", role: "alert" });
  const hold = make("button", { type: "button", part: "hold", "aria-pressed": "false" }, words.hold);
  const push = toggle("push", words.pushHint);
  const mute = toggle("mute");
  const interrupt = make("button", { type: "button", part: "interrupt", class: "quiet" }, words.interrupt);
  const device = make("select", { part: "device", "aria-label": words.device });
  const latency = make("dd", { part: "latency" }, "–");
  const cost = make("dd", { part: "cost" }, "–");
  const figures = make(
    "dl",
    { part: "figures" },
    make("div", {}, make("dt", {}, words.latency), latency),
    make("div", {}, make("dt", {}, words.cost), cost),
  );
  const questions = make("div", { part: "questions" });
  const empty = make("slot", { name: "empty" }, words.empty);
  const captions = make(
    "div",
    { part: "captions", role: "region", "aria-label": words.captions, tabindex: "0" },
    make("div", { class: "empty" }, empty),
  );
  const text = make("input", {
    part: "text",
    maxlength: "4000",
    placeholder: words.type,
    "aria-label": words.type,
    autocomplete: "off",
    enterkeyhint: "send",
    dir: "auto",
  });
  const sample = make("button", { type: "button", part: "sample", class: "quiet", title: words.sampleHint }, words.sample);
  const composer = make(
    "form",
    { part: "composer" },
    text,
    make("button", { part: "send" }, words.send),
    sample,
  );
  const said = make("div", { class: "unseen", role: "log" });
  const panel = make(
    "div",
    { part: "panel" },
    make("slot", { name: "header" }),
    make(
      "div",
      { part: "stage" },
      button,
      meter,
      state,
      notice,
      make(
        "div",
        { part: "controls", role: "group", "aria-label": words.controls },
        ...[hold, push, mute, interrupt, device],
      ),
      figures,
    ),
    ...[questions, captions, composer, make("slot"), said],
  );
  notice.hidden = figures.hidden = device.hidden = true;
  const parts = { button, meter, state, notice, hold, push, mute, interrupt, device, latency, cost, figures };
  return { panel, ...parts, questions, captions, text, sample, composer, said };
}
