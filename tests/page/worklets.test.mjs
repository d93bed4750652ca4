/** Both worklets, in Node with the three names of an audio thread that they use; a browser runs them in tests/browser/. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { amplitudeAt, decibels, rms, tone } from "./signals.mjs";

const FOLDER = "../../python/novasonic/contrib/django/static/novasonic/";

/** @returns a processor of that file in a context of `contextRate`, and what it posts */
async function run(file, contextRate, processorOptions) {
  const posted = [];
  let Processor;
  globalThis.sampleRate = contextRate;
  globalThis.AudioWorkletProcessor = class {
    port = { postMessage: (message) => posted.push(message) };
  };
  globalThis.registerProcessor = (_name, registered) => {
    Processor = registered;
  };
  // Registered anew for each test: a module is run once for each address.
  await import(`${FOLDER}${file}?${Math.random()}`);
  const processor = new Processor({ processorOptions });
  return { posted, processor, order: (data) => processor.port.onmessage({ data }) };
}

function capture(processor, samples) {
  for (let at = 0; at + 128 <= samples.length; at += 128) {
    assert.ok(processor.process([[samples.subarray(at, at + 128)]], [[new Float32Array(128)]]));
  }
}

const joined = (frames) => Float32Array.from(frames.flatMap(({ pcm }) => [...new Int16Array(pcm)]), (value) => value / 32767);

for (const frameMs of [20, 32]) {
  test(`the microphone's frames last ${frameMs} ms and tell their loudness`, async () => {
    const { posted, processor } = await run("capture-worklet.js", 16_000, { rate: 16_000, frameMs });
    capture(processor, tone(500, 16_000, 1));
    assert.equal(posted.length, Math.floor((125 * 128) / (16 * frameMs)));
    for (const { pcm, level } of posted) {
      assert.equal(pcm.byteLength, frameMs * 32);
      assert.ok(Math.abs(level - 0.4 / Math.sqrt(2)) < 0.01);
    }
    assert.ok(Math.abs(amplitudeAt(500, joined(posted), 16_000) - 0.4) < 0.001);
  });
}

for (const contextRate of [44_100, 48_000]) {
  test(`a context of ${contextRate} Hz makes the same frames`, async () => {
    const { posted, processor } = await run("capture-worklet.js", contextRate, { rate: 16_000, frameMs: 32 });
    capture(processor, tone(1000, contextRate, 2));
    assert.ok(posted.length >= 61 && posted.length <= 62, `${posted.length} frames`);
    const samples = joined(posted).subarray(512);
    const amplitude = amplitudeAt(1000, samples, 16_000);
    assert.ok(Math.abs(decibels(amplitude / 0.4)) < 0.1);
    assert.ok(decibels(Math.sqrt(Math.max(0, rms(samples) ** 2 - amplitude ** 2 / 2)) / rms(samples)) < -50);
  });
}

test("too loud a voice is clipped, not wrapped, and silence goes on where nothing is connected or all is muted", async () => {
  const { posted, processor, order } = await run("capture-worklet.js", 16_000, { rate: 16_000, frameMs: 32 });
  capture(processor, new Float32Array(512).fill(1.5));
  capture(processor, new Float32Array(512).fill(-1.5));
  for (let quantum = 0; quantum < 4; quantum++) {
    processor.process([[]], [[new Float32Array(128)]]);
  }
  order(true);
  capture(processor, tone(500, 16_000, 1).subarray(0, 512));
  order(false);
  capture(processor, tone(500, 16_000, 1).subarray(0, 512));
  const [loud, deep, unconnected, muted, heard] = posted;
  assert.ok(new Int16Array(loud.pcm).every((value) => value === 32767));
  assert.ok(new Int16Array(deep.pcm).every((value) => value === -32768));
  for (const { pcm, level } of [unconnected, muted]) {
    assert.equal(level, 0);
    assert.ok(new Int16Array(pcm).every((value) => value === 0));
  }
  assert.ok(heard.level > 0.2);
});

function listen(processor, quanta) {
  const heard = [];
  for (let quantum = 0; quantum < quanta; quantum++) {
    const out = new Float32Array(128);
    assert.ok(processor.process([], [[out]]));
    heard.push(...out);
  }
  return Float32Array.from(heard);
}

const pcm = (samples) => Int16Array.from(samples, (value) => Math.round(value * 32767)).buffer;

for (const contextRate of [24_000, 44_100, 48_000]) {
  test(`24 kHz in a context of ${contextRate} Hz: the whole answer, at its pitch, in packets of any length`, async () => {
    const { posted, processor, order } = await run("playback-worklet.js", contextRate, { rate: 24_000 });
    const samples = tone(1000, 24_000, 1);
    for (let at = 0, length = 700; at < samples.length; at += length, length = (length * 7) % 1999) {
      order({ type: "audio", turn: 1, pcm: pcm(samples.subarray(at, at + length)) });
    }
    order({ type: "end", turn: 1 });
    const heard = listen(processor, 450).subarray(0, contextRate);
    assert.ok(Math.abs(amplitudeAt(1000, heard.subarray(500, -500), contextRate) - 0.4) < 0.005);
    // The last of it is there, which the filter held.
    assert.ok(rms(heard.subarray(-contextRate / 500)) > 0.2);
    const drained = posted.find(({ type }) => type === "drained");
    assert.ok(Math.abs(drained.ms - 1000) < 0.1, `${drained.ms}`);
    assert.equal(drained.underruns, 0);
  });
}

test("of a turn that was cut, or that ran dry, nothing sounds in the next one, whatever the rate", async () => {
  const { posted, processor, order } = await run("playback-worklet.js", 48_000, { rate: 24_000 });
  const loud = () => pcm(new Float32Array(4800).fill(0.5));
  const quiet = () => pcm(new Float32Array(2400).fill(0.001));
  const loudest = (samples) => samples.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0);

  order({ type: "audio", turn: 1, pcm: loud() });
  listen(processor, 10);
  order({ type: "flush" });
  listen(processor, 4);
  order({ type: "audio", turn: 2, pcm: quiet() });
  order({ type: "end", turn: 2 });
  assert.ok(loudest(listen(processor, 100)) < 0.002);

  order({ type: "audio", turn: 3, pcm: loud() });
  listen(processor, 200);
  order({ type: "end", turn: 3 });
  order({ type: "audio", turn: 4, pcm: quiet() });
  order({ type: "end", turn: 4 });
  assert.ok(loudest(listen(processor, 100)) < 0.002);
  assert.equal(posted.at(-1).underruns, 0);
});

test("a turn that follows without an end between them is whole too", async () => {
  const { posted, processor, order } = await run("playback-worklet.js", 48_000, { rate: 24_000 });
  for (const turn of [1, 2, 3]) {
    order({ type: "audio", turn, pcm: pcm(new Float32Array(4800).fill(0.5)) });
  }
  order({ type: "end", turn: 3 });
  listen(processor, 300);
  for (const turn of [1, 2, 3]) {
    const { ms } = posted.findLast((report) => report.turn === turn);
    assert.ok(Math.abs(ms - 200) < 0.1, `turn ${turn}: ${ms}`);
  }
});
