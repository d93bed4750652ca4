import assert from "node:assert/strict";
import { test } from "node:test";

import { Playout } from "../../python/novasonic/contrib/django/static/novasonic/playout.js";
import { seeded } from "./arrivals.mjs";

const RATE = 24_000;
const QUANTUM = 128;

/** A ramp that never repeats a value within a test: shows loss, repetition and order. */
const ramp = (length, start = 1) => Float32Array.from({ length }, (_, n) => (start + n) / 1e6);
const at = (sample) => Math.round(sample * 1e6);

function opened(rate = RATE) {
  const reports = [];
  const playout = new Playout(rate, (report) => reports.push(report));
  const told = (...types) => reports.filter(({ type }) => types.includes(type)).map(({ type, turn, ms }) => ({ type, turn, ms }));
  return { playout, reports, told };
}

/** Nothing that was in `out` before may sound. */
function render(playout, quanta = 1) {
  const out = new Float32Array(quanta * QUANTUM).fill(NaN);
  for (let quantum = 0; quantum < quanta; quantum++) {
    playout.render(out.subarray(quantum * QUANTUM, (quantum + 1) * QUANTUM));
  }
  return out;
}

const last = (reports, wanted) => reports.findLast(({ type }) => type === wanted);

test("plays every sample once and in order, however the packets are cut", () => {
  const random = seeded(1);
  const { playout } = opened();
  const total = RATE * 12;
  const heard = [];
  let pushed = 0;
  while (pushed < total || playout.queuedMs > 0) {
    if (pushed < total) {
      const count = Math.min(total - pushed, Math.floor(random() * 4000));
      playout.push(1, ramp(count, pushed + 1));
      pushed += count;
    } else {
      playout.end(1);
    }
    heard.push(...render(playout, Math.floor(random() * 8)));
  }
  const from = heard.findIndex((sample) => sample > 0);
  heard.slice(from, from + total).forEach((sample, n) => assert.equal(at(sample), n + 1));
  assert.ok(heard.slice(from + total).every((sample) => sample === 0));
  assert.equal(playout.underruns, 0);
});

test("waits for a lead of 40 ms, or for the turn's end where it is shorter", () => {
  const { playout, told } = opened();
  playout.push(1, ramp(959));
  assert.equal(Math.max(...render(playout, 4)), 0);
  playout.push(1, ramp(1, 960));
  assert.equal(at(render(playout)[0]), 1);
  const short = opened();
  short.playout.push(1, ramp(500));
  assert.equal(Math.max(...render(short.playout, 4)), 0);
  short.playout.end(1);
  assert.equal(at(render(short.playout)[0]), 1);
  render(short.playout, 4);
  assert.deepEqual(short.told("drained"), [{ type: "drained", turn: 1, ms: 500 / 24 }]);
  assert.equal(short.playout.underruns, 0);
  assert.equal(told("drained").length, 0);
});

test("a last word is not kept back for what does not come", () => {
  const { playout, told } = opened();
  playout.push(1, ramp(240));
  assert.equal(Math.max(...render(playout, 7)), 0);
  assert.equal(at(Math.max(...render(playout, 4))), 240);
  assert.equal(told("playing").length, 1);
});

test("a hole inside a turn is an underrun, counted once it is one", () => {
  const { playout } = opened();
  playout.push(1, ramp(2000));
  render(playout, 30);
  assert.equal(playout.underruns, 0);
  playout.push(1, ramp(4000, 2001));
  playout.push(1, ramp(2000, 6001));
  assert.equal(playout.underruns, 1);
  assert.equal(at(render(playout)[0]), 2001);
});

test("an end that comes late is no underrun, nor is a new turn, nor a speaker who waits for a tool", () => {
  const late = opened();
  late.playout.push(1, ramp(2000));
  render(late.playout, 60);
  late.playout.end(1);
  assert.deepEqual(late.told("drained"), [{ type: "drained", turn: 1, ms: 2000 / 24 }]);

  const next = opened();
  next.playout.push(1, ramp(2000));
  render(next.playout, 60);
  next.playout.push(2, ramp(2000));
  render(next.playout);
  assert.equal(last(next.reports, "playing").turn, 2);

  const tool = opened();
  tool.playout.push(1, ramp(2000));
  render(tool.playout, 250);
  tool.playout.push(1, ramp(2000));
  render(tool.playout);
  for (const { playout } of [late, next, tool]) {
    assert.equal(playout.underruns, 0);
    assert.equal(playout.leadMs, 40);
  }
});

test("an end before the audio, or without any, is the end all the same", () => {
  const { playout, told } = opened();
  playout.end(1);
  render(playout);
  assert.deepEqual(told("drained"), []);
  playout.push(1, ramp(240));
  assert.equal(at(render(playout)[0]), 1);
  render(playout);
  assert.deepEqual(told("playing", "drained").map(({ type }) => type), ["playing", "drained"]);
  assert.equal(playout.underruns, 0);
});

for (const rate of [24_000, 48_000]) {
  test(`a flush is silent within 5 ms and one quantum at ${rate} Hz, and fades without a step`, () => {
    const { playout, reports } = opened(rate);
    const hz = 200;
    playout.push(1, Float32Array.from({ length: rate * 4 }, (_, n) => 0.5 * Math.cos((2 * Math.PI * hz * n) / rate)));
    const before = render(playout, 20);
    playout.flush();
    assert.equal(playout.queuedMs, 0);
    const tail = [...before.slice(-1), ...render(playout, 8)];
    const silentFrom = tail.findLastIndex((sample) => sample !== 0);
    assert.ok(silentFrom <= 0.005 * rate, `${silentFrom} samples`);
    const steepest = (0.5 * 2 * Math.PI * hz) / rate + 0.5 / (0.005 * rate);
    for (let n = 1; n < tail.length; n++) {
      assert.ok(Math.abs(tail[n - 1] - tail[n]) <= steepest, `step of ${tail[n - 1] - tail[n]} at ${n}`);
    }
    const flushed = last(reports, "flushed");
    assert.equal(flushed.turn, 1);
    assert.equal(flushed.ms, (20 * QUANTUM * 1000) / rate + 5);
    assert.equal(flushed.ms + flushed.droppedMs, 4000);
  });
}

test("audio that arrives while the fade runs belongs to the next answer and is played whole", () => {
  const { playout, told } = opened(48_000);
  playout.push(1, new Float32Array(48_000).fill(0.5));
  render(playout, 20);
  playout.flush();
  render(playout);
  playout.push(2, ramp(4800));
  playout.end(2);
  const heard = [...render(playout, 60)].map(at).filter((sample) => sample > 0 && sample <= 4800);
  assert.deepEqual(heard.slice(-4800), Array.from({ length: 4800 }, (_, n) => n + 1));
  assert.deepEqual(told("flushed", "playing", "drained").slice(1), [
    { type: "flushed", turn: 1, ms: (20 * QUANTUM) / 48 + 5 },
    { type: "playing", turn: 2, ms: 128 / 48 },
    { type: "drained", turn: 2, ms: 100 },
  ]);
});

test("two flushes in one fade make one report, and the second takes what came between", () => {
  const { playout, reports } = opened(48_000);
  playout.push(1, new Float32Array(48_000).fill(0.5));
  render(playout, 20);
  playout.flush();
  render(playout);
  playout.push(2, ramp(4800));
  playout.flush();
  assert.equal(Math.max(...render(playout, 60).slice(112)), 0);
  const flushed = reports.filter(({ type }) => type === "flushed");
  assert.equal(flushed.length, 1);
  assert.equal(flushed[0].turn, 1);
  assert.ok(Math.abs(flushed[0].ms + flushed[0].droppedMs - 1100) < 1e-9);
});

test("each flush tells what it dropped itself", () => {
  const { playout, reports } = opened();
  for (const turn of [1, 2]) {
    playout.push(turn, ramp(480));
    playout.flush();
  }
  playout.flush();
  assert.deepEqual(reports.map(({ droppedMs }) => droppedMs), [20, 20, 0]);
});

test("a flush of silence answers at once, and of an answer that is held back too: nothing of it is heard", () => {
  const { playout, told } = opened();
  playout.flush();
  assert.deepEqual(told("flushed"), [{ type: "flushed", turn: null, ms: 0 }]);
  playout.push(1, ramp(480));
  assert.equal(Math.max(...render(playout, 2)), 0);
  playout.flush();
  assert.deepEqual(told("flushed").length, 2);
  playout.end(1);
  assert.equal(Math.max(...render(playout, 20)), 0);
  assert.deepEqual(told("playing", "drained", "played"), []);
});

test("what was heard is told by turn, exact to the sample", () => {
  const { playout, reports } = opened();
  const random = seeded(3);
  const heard = {};
  let queued = [];
  const listen = (quanta) => {
    for (const sample of render(playout, quanta)) {
      if (sample !== 0) {
        const turn = queued.shift();
        heard[turn] = (heard[turn] ?? 0) + 1;
      }
    }
  };
  for (let turn = 1; turn <= 30; turn++) {
    for (let packet = 0; packet < 8; packet++) {
      playout.push(turn, new Float32Array(1920).fill(0.5));
      queued.push(...Array(1920).fill(turn));
      listen(Math.floor(random() * 24));
    }
    if (random() < 0.6) {
      playout.end(turn);
    } else {
      playout.flush();
      listen(1);
      queued = [];
    }
  }
  listen(4000);
  assert.equal(queued.length, 0);
  assert.ok(Object.keys(heard).length > 20);
  for (const [turn, samples] of Object.entries(heard)) {
    const figures = reports.filter((report) => report.turn === Number(turn)).map(({ ms }) => ms);
    assert.deepEqual(figures, figures.toSorted((one, other) => one - other));
    assert.equal(figures.at(-1), samples / 24, `turn ${turn}`);
  }
});

test("what is being heard is told four times a second, and silence is not", () => {
  const { playout, told } = opened();
  playout.push(1, new Float32Array(RATE * 3));
  render(playout, 19 * 30);
  playout.end(1);
  render(playout, 19 * 30);
  const figures = told("played").map(({ ms }) => ms);
  assert.ok(figures.length >= 10 && figures.length <= 12, `${figures}`);
  assert.equal(told("drained").length, 1);
});

test("a turn that goes over into the next is told to its end", () => {
  const { playout, told } = opened();
  playout.push(1, ramp(2400));
  playout.end(1);
  playout.push(2, ramp(2400));
  render(playout, 30);
  assert.deepEqual(told("playing", "played").slice(1), [{ type: "played", turn: 1, ms: 100 }]);
});

test("a turn may be said again after a loss of the connection", () => {
  const { playout } = opened();
  playout.push(5, ramp(2400));
  playout.end(5);
  render(playout, 40);
  playout.flush();
  playout.push(5, ramp(240));
  assert.equal(Math.max(...render(playout, 2)), 0); // held back: it has not ended
});

test("an answer longer than three minutes is lost in part, and counted", () => {
  const { playout } = opened(8000);
  for (let second = 0; second < 182; second++) {
    playout.push(1, new Float32Array(8000));
  }
  assert.equal(playout.lostMs, 2000);
  assert.equal(playout.queuedMs, 180_000);
});
