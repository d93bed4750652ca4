import assert from "node:assert/strict";
import { test } from "node:test";

import { Resampler } from "../../python/novasonic/contrib/django/static/novasonic/resampler.js";
import { amplitudeAt, decibels, rms, tone } from "./signals.mjs";

/** In blocks of 128, as a worklet gets it. */
function convert(samples, from, to, block = 128) {
  const resampler = new Resampler(from, to);
  const pieces = [];
  for (let at = 0; at < samples.length; at += block) {
    pieces.push(...resampler.process(samples.subarray(at, at + block)));
  }
  return Float32Array.from(pieces);
}

for (const from of [44_100, 48_000, 96_000, 22_050]) {
  test(`${from} Hz: speech passes unchanged, pitch and length too`, () => {
    const output = convert(tone(1000, from, 2), from, 16_000);
    assert.ok(Math.abs(output.length - 32_000) < 60, `${output.length} samples`);
    const steady = output.subarray(1000, 31_400); // whole periods
    assert.ok(Math.abs(decibels(amplitudeAt(1000, steady, 16_000) / 0.4)) < 0.1);
    const rest = Math.sqrt(Math.max(0, rms(steady) ** 2 - amplitudeAt(1000, steady, 16_000) ** 2 / 2));
    assert.ok(decibels(rest / rms(steady)) < -50, `spurs ${decibels(rest / rms(steady)).toFixed(1)} dB`);
  });
}

for (const from of [44_100, 48_000]) {
  test(`${from} Hz: what 16 kHz cannot hold vanishes instead of folding down`, () => {
    const output = convert(tone(10_000, from, 1), from, 16_000).subarray(1000);
    assert.ok(decibels(rms(output)) < -65, `${decibels(rms(output)).toFixed(1)} dB`);
  });
}

test("blocks leave no seams: any cut of the input gives the same output", () => {
  const input = tone(700, 44_100, 1);
  const whole = convert(input, 44_100, 16_000, input.length);
  for (const block of [1, 127, 128, 1000]) {
    const cut = convert(input, 44_100, 16_000, block);
    assert.ok(Math.abs(cut.length - whole.length) <= 1);
    const worst = cut.reduce((most, sample, n) => Math.max(most, Math.abs(sample - (whole[n] ?? sample))), 0);
    assert.ok(worst < 1e-3, `block ${block}: ${worst}`);
  }
});

test("24 kHz goes up to 48 kHz without images", () => {
  const output = convert(tone(5000, 24_000, 1), 24_000, 48_000).subarray(1000);
  assert.ok(Math.abs(decibels(amplitudeAt(5000, output, 48_000) / 0.4)) < 0.2);
  assert.ok(decibels(amplitudeAt(19_000, output, 48_000) / 0.4) < -55);
});

for (const [from, to] of [[44_100, 16_000], [24_000, 48_000], [24_000, 44_100]]) {
  test(`${from} to ${to} Hz: nothing is shifted in time, and the filter gives back what it held`, () => {
    const resampler = new Resampler(from, to);
    for (let round = 0; round < 2; round++) {
      const output = [...resampler.process(tone(500, from, 0.5)), ...resampler.finish()];
      assert.ok(Math.abs(output.length - to / 2) <= 2, `${output.length} samples`);
      // The ends are those of a wave that begins and stops at once; between them it is the same wave.
      for (let n = 200; n < output.length - 200; n++) {
        assert.ok(Math.abs(output[n] - 0.4 * Math.sin((2 * Math.PI * 500 * n) / to)) < 2e-3, `sample ${n}`);
      }
    }
  });
}
