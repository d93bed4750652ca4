import assert from "node:assert/strict";
import { test } from "node:test";

import { Playout } from "../../python/novasonic/contrib/django/static/novasonic/playout.js";

const RATE = 24_000;
const QUANTUM = 128;

/** A ramp that never repeats a value within a test: shows loss, repetition and order. */
const ramp = (length, start = 0) => Float32Array.from({ length }, (_, n) => (start + n) / 1e6);

function render(playout, quanta) {
  const out = new Float32Array(quanta * QUANTUM);
  for (let quantum = 0; quantum < quanta; quantum++) {
    playout.render(out.subarray(quantum * QUANTUM, (quantum + 1) * QUANTUM));
  }
  return out;
}

test("plays every sample once and in order, across the ring's end and its growth", () => {
  const playout = new Playout(RATE);
  const total = RATE * 12;
  const heard = [];
  let pushed = 0;
  while (heard.length < total - QUANTUM) {
    if (pushed < total) {
      playout.push(1, ramp(1920, pushed));
      pushed += 1920;
      heard.push(...render(playout, 2));
    } else {
      playout.end(1);
      heard.push(...render(playout, 16));
    }
  }
  const from = heard.findIndex((sample) => sample > 0) - 1;
  heard.slice(from, from + 200_000).forEach((sample, n) => {
    assert.ok(Math.abs(sample - n / 1e6) < 1e-7, `sample ${n}`);
  });
  assert.equal(playout.underruns, 0);
});

test("waits for a lead of 60 ms, or for the turn's end where it is shorter", () => {
  const playout = new Playout(RATE);
  playout.push(1, ramp(1000, 1));
  assert.equal(Math.max(...render(playout, 4)), 0);
  playout.end(1);
  assert.ok(Math.max(...render(playout, 4)) > 0);
  render(playout, 8);
  const [playing, drained] = playout.takeEvents();
  assert.deepEqual(playing, { type: "playing", turn: 1 });
  assert.equal(drained.type, "drained");
  assert.ok(Math.abs(drained.ms - 1000 / 24) < 0.01);
  assert.equal(playout.underruns, 0);
});

test("running dry inside a turn is an underrun, counted once, and play goes on", () => {
  const playout = new Playout(RATE);
  playout.push(1, ramp(2000, 1));
  render(playout, 30);
  assert.equal(playout.underruns, 1);
  playout.push(1, ramp(2000, 2001));
  assert.ok(Math.max(...render(playout, 4)) > 0.002);
});

test("a flush is silent within 5 ms and one quantum, and fades", () => {
  const playout = new Playout(RATE);
  playout.push(1, new Float32Array(RATE * 4).fill(0.5));
  render(playout, 20);
  playout.flush();
  const tail = render(playout, 4);
  const last = tail.findLastIndex((sample) => sample !== 0);
  assert.ok(last < 0.005 * RATE + QUANTUM, `${last} samples`);
  for (let n = 1; n <= last; n++) {
    assert.ok(tail[n - 1] - tail[n] < 0.01, `step at ${n}`);
  }
  const flushed = playout.takeEvents().find(({ type }) => type === "flushed");
  assert.equal(flushed.turn, 1);
  assert.ok(Math.abs(flushed.ms + flushed.droppedMs - 4000) < 0.1);
  assert.equal(playout.queuedMs, 0);
});

test("audio that arrives while the fade runs belongs to the next answer and is played whole", () => {
  const playout = new Playout(RATE);
  playout.push(1, new Float32Array(RATE).fill(0.5));
  render(playout, 20);
  playout.flush();
  playout.push(2, ramp(4800, 1));
  playout.end(2);
  const heard = render(playout, 60);
  playout.takeEvents();
  assert.deepEqual(playout.played, { turn: 2, ms: 200 });
  assert.ok(heard.some((sample) => Math.abs(sample - 4800 / 1e6) < 1e-7));
});

test("a flush of silence answers at once", () => {
  const playout = new Playout(RATE);
  playout.flush();
  assert.deepEqual(playout.takeEvents(), [{ type: "flushed", turn: null, ms: 0, droppedMs: 0 }]);
});

test("played counts the turn that sounds, not the one that waits", () => {
  const playout = new Playout(RATE);
  playout.push(1, ramp(2400, 1));
  playout.end(1);
  playout.push(2, ramp(2400, 1));
  render(playout, 10);
  assert.equal(playout.played.turn, 1);
  render(playout, 10);
  assert.equal(playout.played.turn, 2);
});

test("an answer longer than three minutes is lost in part, and counted", () => {
  const playout = new Playout(8000);
  for (let second = 0; second < 182; second++) {
    playout.push(1, new Float32Array(8000));
  }
  assert.equal(playout.lostMs, 2000);
});
