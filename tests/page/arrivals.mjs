/** Answers as a network brings them, for tests; the same numbers give the same arrivals. */

/** @returns {() => number} 0 to 1 (mulberry32) */
export function seeded(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * When the packets of one answer arrive, in order, as over TCP: what is late holds up what follows.
 *
 * @param {() => number} random
 * @param {{seconds: number, packetMs: number, pace: number, jitterMs?: number, stallMs?: number}} options pace 1 is real
 *   time; a stall comes once, at any moment of the sending
 * @returns {number[]} ms since the first was sent
 */
export function arrivals(random, { seconds, packetMs, pace, jitterMs = 0, stallMs = 0 }) {
  const count = Math.round((seconds * 1000) / packetMs);
  const stallFromMs = (random() * count * packetMs) / pace;
  let lastMs = 0;
  return Array.from({ length: count }, (_, n) => {
    const sentMs = (n * packetMs) / pace;
    let atMs = sentMs + random() * jitterMs;
    if (sentMs >= stallFromMs && sentMs < stallFromMs + stallMs) {
      atMs = Math.max(atMs, stallFromMs + stallMs);
    }
    lastMs = Math.max(lastMs, atMs);
    return lastMs;
  });
}

/**
 * Play answers one after another by the audio clock, with pauses between them.
 *
 * @param {import("../../python/novasonic/contrib/django/static/novasonic/playout.js").Playout} playout
 * @param {number[][]} answers
 * @param {{rate: number, packetMs: number, pauseMs?: number}} options
 * @returns {{minutes: number, waitsMs: number[], leadsMs: number[]}} what was played, how long each answer was held back
 */
export function play(playout, answers, { rate, packetMs, pauseMs = 2000 }) {
  const out = new Float32Array(rate / 200); // as long as a quantum at 24 kHz
  const quantumMs = (out.length * 1000) / rate;
  const packet = new Float32Array((rate * packetMs) / 1000).fill(0.5);
  const waitsMs = [];
  const leadsMs = [];
  answers.forEach((answer, turn) => {
    let next = 0;
    let waitMs = null;
    for (let ms = 0; next < answer.length || playout.queuedMs > 0; ms += quantumMs) {
      for (; next < answer.length && answer[next] <= ms; next++) {
        playout.push(turn + 1, packet);
      }
      if (next === answer.length) {
        playout.end(turn + 1);
      }
      playout.render(out);
      if (out[0] && waitMs === null) {
        waitMs = ms - answer[0];
      }
    }
    waitsMs.push(waitMs);
    leadsMs.push(playout.leadMs);
    for (let ms = 0; ms < pauseMs; ms += quantumMs) {
      playout.render(out);
    }
  });
  return { minutes: (answers.flat().length * packetMs) / 60_000, waitsMs, leadsMs };
}
