// What is told to the server, and what is told again.

import assert from "node:assert/strict";
import { mock, test } from "node:test";

import { Ledger } from "../src/ledger.js";
import { Outbox } from "../src/outbox.js";
import { Reporter } from "../src/reporter.js";
import { Refused } from "../src/server.js";
import { Turn } from "../src/turns.js";

const COUNTS = { speechIn: 1, textIn: 2, speechOut: 3, textOut: 4 };

function turn(number, userText = "Hello", assistantText = "Hi") {
  const made = new Turn(number, number * 1_000);
  made.user.push(userText);
  made.answer.push({ text: assistantText, final: true, ms: 10 });
  made.endedMs = number * 1_000 + 500;
  return made;
}

const ledger = () => new Ledger({ grant: "g", voice: "tiffany" });

test("a report holds what is new, and nothing is left when it is acknowledged", () => {
  const book = ledger();
  assert.equal(book.next(), null);
  book.turn(turn(1));
  book.usage(1, COUNTS);
  const { report, acknowledge } = book.next();
  assert.deepEqual(report, {
    grant: "g",
    number: 1,
    voice: "tiffany",
    turns: [{ number: 1, startedMs: 1_000, userText: "Hello", assistantText: "Hi", interrupted: false, ms: 500 }],
    usage: [{ turn: 1, ...COUNTS }],
    ended: null,
  });
  acknowledge();
  assert.ok(book.settled);
});

test("what was not acknowledged is in the next report, under a higher number", () => {
  const book = ledger();
  book.turn(turn(1));
  book.next();
  book.turn(turn(2));
  const { report } = book.next();
  assert.deepEqual([report.number, report.turns.map(({ number }) => number)], [2, [1, 2]]);
});

test("what changed while a report was on its way is told again", () => {
  const book = ledger();
  book.turn(turn(1, "Hello", "H"));
  const { acknowledge } = book.next();
  book.turn(turn(1, "Hello", "Hi there"));
  acknowledge();
  assert.equal(book.next().report.turns[0].assistantText, "Hi there");
});

test("a long conversation is told in parts that the server takes, and its end with the last", () => {
  const book = ledger();
  for (let number = 1; number <= 45; number++) {
    book.turn(turn(number));
  }
  book.end("closed");
  book.end("error");
  const reports = [];
  for (let next = book.next(); next; next = book.next()) {
    reports.push(next.report);
    next.acknowledge();
  }
  assert.deepEqual(
    reports.map(({ turns, ended }) => [turns.length, ended]),
    [
      [20, null],
      [20, null],
      [5, "closed"],
    ],
  );
});

test("no report is longer than the server takes, in any script", () => {
  const book = ledger();
  for (let number = 1; number <= 20; number++) {
    book.turn(turn(number, "語".repeat(5_000), "🌊".repeat(5_000)));
  }
  let count = 0;
  for (let next = book.next(); next; next = book.next()) {
    const json = JSON.stringify(next.report);
    assert.ok(Buffer.byteLength(json) < 65_536);
    assert.ok(json.isWellFormed() && !/\\ud[89ab]/i.test(json));
    next.acknowledge();
    count += 1;
  }
  assert.equal(count, 20);
});

async function reporting(answers) {
  mock.timers.enable({ apis: ["setTimeout"] });
  const book = ledger();
  const sent = [];
  const reporter = new Reporter(book, async (report, leaving) => {
    sent.push([report.number, leaving ?? false]);
    const error = answers.shift();
    if (error) {
      throw error;
    }
  });
  const later = async (ms) => {
    mock.timers.tick(ms);
    for (let turns = 0; turns < 5; turns++) {
      await null;
    }
  };
  return { book, reporter, sent, later };
}

test("changes gather into one report", async (t) => {
  t.after(() => mock.timers.reset());
  const { book, reporter, sent, later } = await reporting([]);
  for (const number of [1, 2, 3]) {
    book.turn(turn(number));
    reporter.changed();
  }
  await later(1_499);
  assert.deepEqual(sent, []);
  await later(1);
  assert.deepEqual(sent, [[1, false]]);
  await later(60_000);
  assert.deepEqual(sent, [[1, false]], "and nothing is told twice");
});

test("a network that is away is tried again, and a server that is busy when it says", async (t) => {
  t.after(() => mock.timers.reset());
  const { book, reporter, sent, later } = await reporting([new TypeError("no network"), new Refused("Wait", 429, 2_000)]);
  book.turn(turn(1));
  reporter.changed(0);
  await later(0);
  await later(2_999);
  assert.equal(sent.length, 1);
  await later(1);
  assert.equal(sent.length, 2);
  await later(2_000);
  assert.equal(sent.length, 3);
  assert.ok(book.settled);
});

test("what the server will not have is not told again", async (t) => {
  t.after(() => mock.timers.reset());
  const { book, reporter, sent, later } = await reporting([new Refused("No such grant", 404, 0)]);
  book.turn(turn(1));
  reporter.changed(0);
  await later(0);
  book.turn(turn(2));
  reporter.changed(0);
  reporter.leave();
  await later(60_000);
  assert.equal(sent.length, 1);
});

test("who leaves the page tells all of it at once, so that it arrives without the page", async (t) => {
  t.after(() => mock.timers.reset());
  const { book, reporter, sent, later } = await reporting([]);
  book.turn(turn(1));
  reporter.changed();
  book.end("gone");
  reporter.leave();
  assert.deepEqual(sent, [[1, true]]);
  await later(60_000);
  assert.equal(sent.length, 1);
});

test("speech that a slow network holds up is dropped, oldest first, and nothing else is", async () => {
  const outbox = new Outbox();
  outbox.push({ contentStart: {} });
  for (let frame = 0; frame < 190; frame++) {
    outbox.push({ audioInput: { content: String(frame) } });
  }
  outbox.push({ contentEnd: {} });
  outbox.close();
  const sent = [];
  for await (const event of outbox) {
    sent.push(Object.keys(event)[0] === "audioInput" ? event.audioInput.content : Object.keys(event)[0]);
  }
  assert.equal(sent[0], "contentStart");
  assert.equal(sent.at(-1), "contentEnd");
  assert.deepEqual([sent.length, sent[1], sent.at(-2), outbox.droppedFrames], [152, "40", "189", 40]);
});

test("once it is read, two seconds of speech wait at most", async () => {
  const outbox = new Outbox();
  outbox.push({ audioInput: { content: "first" } });
  const reading = outbox[Symbol.asyncIterator]();
  await reading.next();
  for (let frame = 0; frame < 100; frame++) {
    outbox.push({ audioInput: { content: String(frame) } });
  }
  assert.deepEqual((await reading.next()).value, { audioInput: { content: "40" } });
  assert.equal(outbox.droppedFrames, 40);
});

test("what is pushed while somebody waits for it comes at once", async () => {
  const outbox = new Outbox();
  const reading = outbox[Symbol.asyncIterator]().next();
  outbox.push({ promptEnd: {} });
  assert.deepEqual((await reading).value, { promptEnd: {} });
});
