/** The lead of an answer against networks that keep no time: a seeded process of arrivals, answers of 4 to 20 s. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { Playout } from "../../python/novasonic/contrib/django/static/novasonic/playout.js";
import { arrivals, play, seeded } from "./arrivals.mjs";

const RATE = 8000;
const SERVICE = { packetMs: 80, pace: 3 };
const SLOWER = { packetMs: 80, pace: 1.5 };
const REAL_TIME = { packetMs: 32, pace: 1 };
const COARSE = { packetMs: 80, pace: 1 };

const median = (figures) => figures.toSorted((a, b) => a - b)[figures.length >> 1];

function answers(random, count, options) {
  return Array.from({ length: count }, () => arrivals(random, { seconds: 4 + random() * 16, ...options }));
}

for (const [name, pace] of Object.entries({ SERVICE, SLOWER, REAL_TIME, COARSE })) {
  for (const stallMs of [0, 300]) {
    test(`${name}, 100 ms of jitter, a stall of ${stallMs} ms in each answer: under one underrun a minute`, () => {
      for (let seed = 1; seed <= 4; seed++) {
        const playout = new Playout(RATE, () => {});
        const random = seeded(seed);
        const { minutes } = play(playout, answers(random, 40, { ...pace, jitterMs: 100, stallMs }), { rate: RATE, ...pace });
        assert.ok(minutes > 5);
        assert.ok(playout.underruns / minutes < 1, `${playout.underruns} in ${minutes.toFixed(1)} minutes`);
      }
    });
  }
  test(`${name} without jitter: no underrun but the first, and an answer starts soon`, () => {
    const playout = new Playout(RATE, () => {});
    const { waitsMs } = play(playout, answers(seeded(1), 20, pace), { rate: RATE, ...pace });
    assert.ok(playout.underruns <= 1, `${playout.underruns}`);
    assert.ok(median(waitsMs) <= (pace.pace === 1 ? 2 * pace.packetMs : 16), `${median(waitsMs)} ms`);
  });
}

test("the lead grows with the first late packet, beyond 120 ms where that was needed, and shrinks once all is calm", () => {
  const playout = new Playout(RATE, () => {});
  const calm = Array.from({ length: 40 }, () => arrivals(() => 0, { seconds: 4, ...REAL_TIME }));
  const stalled = arrivals(() => 0.5, { seconds: 4, ...REAL_TIME, stallMs: 300 });
  const { leadsMs, waitsMs } = play(playout, [calm[0], stalled, stalled, ...calm], { rate: RATE, ...REAL_TIME });
  assert.ok(leadsMs[0] <= 60, `${leadsMs[0]}`);
  assert.ok(leadsMs[1] >= 300 && leadsMs[1] <= 360, `${leadsMs[1]}`);
  assert.equal(playout.underruns, 1); // the second stall is not heard
  assert.ok(leadsMs[8] >= 300, "held for a minute");
  for (let n = 3; n < leadsMs.length; n++) {
    assert.ok(leadsMs[n] <= leadsMs[n - 1] && leadsMs[n] >= leadsMs[n - 1] * 0.79, `${leadsMs[n - 1]} to ${leadsMs[n]}`);
  }
  assert.ok(leadsMs.at(-1) <= 60 && waitsMs.at(-1) <= 64, `${leadsMs.at(-1)}`);
});

test("what a hole has put off is not counted again by what is late after it", () => {
  const playout = new Playout(RATE, () => {});
  const answer = arrivals(() => 0, { seconds: 8, ...REAL_TIME });
  const slipping = answer.map((ms) => ms + (ms < 1000 ? 0 : ms < 4000 ? 200 : 300)); // for good, as on another route
  const { leadsMs } = play(playout, [slipping], { rate: RATE, ...REAL_TIME });
  assert.equal(playout.underruns, 1);
  assert.ok(leadsMs[0] >= 220 && leadsMs[0] <= 270, `${leadsMs[0]}`);
});

test("no network makes the lead longer than 400 ms", () => {
  const playout = new Playout(RATE, () => {});
  const bad = { ...REAL_TIME, jitterMs: 900 };
  const { leadsMs } = play(playout, answers(seeded(5), 20, bad), { rate: RATE, ...bad });
  assert.ok(Math.max(...leadsMs) <= 400);
});
