/** What is said while nothing can be sent: no word is lost, silence is, and the server's caps hold. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { Backlog } from "../../python/novasonic/contrib/django/static/novasonic/backlog.js";

const FRAME_MS = 32;
const word = (name) => ({ pcm: name, level: 0.1 });
const silence = { pcm: "", level: 0.001 };

function kept(frames) {
  const backlog = new Backlog(FRAME_MS);
  for (const frame of frames) {
    backlog.push(frame);
  }
  backlog.open(0);
  const taken = [];
  for (let tick = 0; tick < 3000; tick++) {
    taken.push(...backlog.take(tick * FRAME_MS));
  }
  return taken;
}

test("while the server takes audio each frame goes at once", () => {
  const backlog = new Backlog(FRAME_MS);
  backlog.open(0);
  for (let number = 0; number < 5000; number++) {
    backlog.push(number % 3 ? silence : word(number));
    assert.equal(backlog.take(number * FRAME_MS).length, 1);
  }
});

test("what was said meanwhile comes in its order, and pauses are cut short", () => {
  const words = Array.from({ length: 40 }, (_, number) => word(number));
  const pause = Array(200).fill(silence);
  const taken = kept([...pause, ...words, ...pause, ...words, ...pause]);
  assert.deepEqual(taken.filter((pcm) => pcm !== ""), [...words, ...words].map(({ pcm }) => pcm));
  // Of each of three pauses some 400 ms.
  const silent = taken.filter((pcm) => pcm === "").length * FRAME_MS;
  assert.ok(silent > 1000 && silent < 1400, `${silent} ms`);
});

test("more than half a minute is not kept, and the oldest goes first", () => {
  const backlog = new Backlog(FRAME_MS);
  let dropped = 0;
  for (let number = 0; number < 1000; number++) {
    dropped += backlog.push(word(number));
  }
  assert.equal(dropped, 62);
  backlog.open(0);
  assert.equal(backlog.take(0)[0], dropped);
});

test("it is sent no faster than the server takes it", () => {
  const backlog = new Backlog(FRAME_MS);
  for (let number = 0; number < 900; number++) {
    backlog.push(word(number));
  }
  backlog.open(0);
  let sentMs = 0;
  for (let tick = 1; tick <= 600; tick++) {
    backlog.push(word(tick));
    sentMs += backlog.take(tick * FRAME_MS).length * FRAME_MS;
    assert.ok(sentMs <= 3000 + 1.25 * tick * FRAME_MS, `${sentMs} ms after ${tick} frames`);
  }
});

test("what a page that stalled gets at once is not sent at once", () => {
  const backlog = new Backlog(FRAME_MS);
  backlog.open(0);
  let sentMs = 0;
  for (let number = 0; number < 300; number++) {
    backlog.push(word(number));
    sentMs += backlog.take(9600).length * FRAME_MS;
  }
  assert.ok(sentMs <= 3000, `${sentMs} ms`);
  for (let tick = 1; tick < 2000; tick++) {
    backlog.push(word(tick));
    sentMs += backlog.take(9600 + tick * FRAME_MS).length * FRAME_MS;
  }
  assert.equal(sentMs, (300 + 1999) * FRAME_MS);
});
