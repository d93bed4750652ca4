import assert from "node:assert/strict";
import { test } from "node:test";

import { Comeback } from "../../python/novasonic/contrib/django/static/novasonic/comeback.js";

function holding(token = "r1", random = () => 1) {
  const comeback = new Comeback(random);
  comeback.token = token;
  return comeback;
}

test("comes back from what was lost, at once and then ever more slowly", () => {
  const comeback = holding();
  const waits = [1006, 1006, 1012, 1001, 1006, 1006, 1006].map((code) => comeback.lost(code, false, 0));
  assert.deepEqual(waits, [250, 500, 1000, 2000, 4000, 5000, 5000]);
});

test("spreads the pages of a worker that died", () => {
  assert.equal(holding("r1", () => 0).lost(1006, false, 0), 0);
  assert.equal(holding("r1", () => 0.5).lost(1006, false, 0), 125);
});

test("comes back from nothing that was meant", () => {
  for (const code of [1000, 1005, 1009, 4400, 4401, 4403, 4408, 4409, 4413, 4429, 4500, 4503]) {
    assert.equal(holding().lost(code, false, 0), null, code);
  }
});

test("without a token it is over", () => {
  assert.equal(new Comeback().lost(1006, false, 0), null);
  const comeback = holding();
  comeback.forget();
  assert.equal(comeback.lost(1006, false, 0), null);
});

test("a worker that takes nobody is not the last one, but only for who is on the way", () => {
  const comeback = holding();
  assert.equal(comeback.lost(4503, true, 0), null);
  comeback.lost(1006, false, 0);
  assert.equal(comeback.lost(4503, true, 10), 500);
  assert.equal(comeback.lost(4500, true, 20), 1000);
  assert.equal(comeback.lost(4403, false, 30), null);
});

test("waits as long as the server said", () => {
  const comeback = holding("r1", () => 0);
  comeback.sentAway(800, 1000);
  assert.equal(comeback.lost(1012, false, 1100), 700);
});

test("gives up once no token can be good any more, and counts anew after a return", () => {
  const comeback = holding();
  comeback.lost(1006, false, 0);
  assert.notEqual(comeback.lost(1006, false, 110_000), null);
  assert.equal(comeback.lost(1006, false, 110_001), null);
  comeback.arrived();
  assert.equal(comeback.lost(1006, false, 200_000), 250);
});
