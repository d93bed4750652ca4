// A stream seen from the page, event by event; no socket and no sound.

import assert from "node:assert/strict";
import { test } from "node:test";

import { DirectSession, LIMIT_MS } from "../src/direct.js";

const SECOND_OF_ANSWER = Buffer.alloc(48_000).toString("base64");

function opened() {
  let id = 0;
  const session = new DirectSession({ system: "Tell stories.", voice: "tiffany", newId: () => `id${++id}` });
  session.open(0);
  return session;
}

/** The service, as it numbers its blocks. */
function service(session) {
  let block = 0;
  let nowMs = 0;
  const say = (name, body) => session.receive({ [name]: body }, nowMs);
  const text = (role, stage, content, stopReason = "PARTIAL_TURN") => {
    const contentId = `text${++block}`;
    const additionalModelFields = JSON.stringify({ generationStage: stage });
    say("contentStart", { contentId, type: "TEXT", role, additionalModelFields });
    say("textOutput", { contentId, role, content });
    say("contentEnd", { contentId, type: "TEXT", stopReason });
  };
  const sound = (content, stopReason) => {
    const contentId = `sound${++block}`;
    say("contentStart", { contentId, type: "AUDIO", role: "ASSISTANT" });
    const more = (again = content) => say("audioOutput", { contentId, content: again });
    more();
    if (stopReason) {
      say("contentEnd", { contentId, type: "AUDIO", stopReason });
    }
    return { more, end: (reason) => say("contentEnd", { contentId, type: "AUDIO", stopReason: reason }) };
  };
  return { say, text, sound, at: (ms) => (nowMs = ms) };
}

const types = (news) => news.map(({ type }) => type);

test("it opens in the one order that the service takes", () => {
  const session = opened();
  const events = session.takeOutgoing();
  assert.deepEqual(
    events.map((event) => Object.keys(event)[0]),
    ["sessionStart", "promptStart", "contentStart", "textInput", "contentEnd", "contentStart"],
  );
  const [, { promptStart }, { contentStart: system }, { textInput }, , { contentStart: audio }] = events;
  assert.equal(promptStart.audioOutputConfiguration.voiceId, "tiffany");
  assert.equal(promptStart.audioOutputConfiguration.sampleRateHertz, 24_000);
  assert.deepEqual([system.role, system.interactive, textInput.content], ["SYSTEM", false, "Tell stories."]);
  assert.deepEqual([audio.role, audio.interactive, audio.type], ["USER", true, "AUDIO"]);
  assert.equal(new Set([system.contentName, audio.contentName, promptStart.promptName]).size, 3);
  assert.deepEqual(session.takeOutgoing(), [], "each is given once");
});

test("a long prompt goes in pieces, and no letter is cut in two", () => {
  const session = new DirectSession({ system: "🌊".repeat(1_500), voice: "tiffany" });
  session.open(0);
  const pieces = session.takeOutgoing().flatMap(({ textInput }) => (textInput ? [textInput.content] : []));
  assert.deepEqual(
    pieces.map((piece) => [...piece].length),
    [1_000, 500],
  );
  assert.equal(pieces.join(""), "🌊".repeat(1_500));
});

test("sound goes out while it is open, and what was said before goes first", () => {
  const session = new DirectSession({ system: "", voice: "tiffany" });
  for (let frame = 0; frame < 160; frame++) {
    session.audio(String(frame));
  }
  assert.deepEqual(session.takeOutgoing(), []);
  session.open(0);
  const sent = session.takeOutgoing().flatMap(({ audioInput }) => (audioInput ? [audioInput.content] : []));
  assert.deepEqual([sent.length, sent[0], sent.at(-1)], [150, "10", "159"]);
  session.audio("AAAA");
  assert.equal(session.takeOutgoing()[0].audioInput.content, "AAAA");
  session.close(1);
  session.takeOutgoing();
  session.audio("AAAA");
  assert.deepEqual(session.takeOutgoing(), []);
});

test("a turn is what the user said, the answer's sentences and their sound", () => {
  const session = opened();
  const { text, sound, at } = service(session);
  at(1_000);
  text("USER", "FINAL", "Sing,");
  text("USER", "FINAL", "please.");
  text("ASSISTANT", "SPECULATIVE", "La.");
  sound(SECOND_OF_ANSWER, "PARTIAL_TURN");
  text("ASSISTANT", "SPECULATIVE", "La la.");
  at(3_000);
  sound(SECOND_OF_ANSWER, "END_TURN");
  const news = session.takeNews();
  assert.deepEqual(types(news), [
    ...["turn_started", "transcript", "transcript"],
    ...["transcript", "audio", "transcript", "audio", "turn_ended"],
  ]);
  assert.deepEqual(news[2], { type: "transcript", role: "user", text: "Sing, please.", turn: 1 });
  assert.deepEqual(news[5], { type: "transcript", role: "assistant", text: "La. La la.", turn: 1 });
  assert.deepEqual(news.at(-1), { type: "turn_ended", turn: 1, interrupted: false });
  const turn = session.turn(1);
  assert.deepEqual([turn.startedMs, turn.endedMs, turn.assistantText], [1_000, 3_000, "La. La la."]);
});

test("what was said in the end replaces what was planned, however late, and nothing is shown twice", () => {
  const session = opened();
  const { text, sound } = service(session);
  text("USER", "FINAL", "One?");
  text("ASSISTANT", "SPECULATIVE", "First answer.");
  sound(SECOND_OF_ANSWER, "END_TURN");
  text("USER", "FINAL", "Two?");
  text("ASSISTANT", "FINAL", "First answer.");
  text("ASSISTANT", "SPECULATIVE", "Second answer.");
  assert.equal(session.turn(1).assistantText, "First answer.");
  assert.equal(session.turn(2).assistantText, "Second answer.");
  text("ASSISTANT", "FINAL", "Never planned.");
  assert.equal(session.turn(2).assistantText, "Second answer.");
});

for (const how of ["a marker", "a marker with a line's end", "the end of a text", "the end of a sound", "all of them"]) {
  test(`a barge-in told by ${how} is told on once, and what still comes of it is not played`, () => {
    const session = opened();
    const { text, sound } = service(session);
    text("USER", "FINAL", "Tell me all.");
    text("ASSISTANT", "SPECULATIVE", "Once upon a time.");
    const first = sound(SECOND_OF_ANSWER);
    session.takeNews();
    const marker = how.includes("line") ? '{"interrupted":true}\n' : '{ "interrupted" : true }';
    if (how.includes("marker") || how.startsWith("all")) {
      text("ASSISTANT", "FINAL", marker, how.startsWith("all") ? "INTERRUPTED" : "PARTIAL_TURN");
    }
    if (how.includes("text")) {
      text("ASSISTANT", "FINAL", "Once", "INTERRUPTED");
    }
    if (how.includes("sound") || how.startsWith("all")) {
      first.end("INTERRUPTED");
    }
    first.more();
    const news = session.takeNews().filter(({ type }) => type !== "transcript");
    assert.deepEqual(news, [
      { type: "interrupted", turn: 1 },
      { type: "turn_ended", turn: 1, interrupted: true },
    ]);
    text("USER", "FINAL", "Stop.");
    text("ASSISTANT", "SPECULATIVE", "Very well.");
    sound(SECOND_OF_ANSWER, "END_TURN");
    assert.deepEqual(
      session.takeNews().flatMap(({ type, turn }) => (type === "audio" ? [turn] : [])),
      [2],
    );
    assert.equal(session.turn(1).userText, "Tell me all.");
    assert.equal(session.turn(2).assistantText, "Very well.");
  });
}

test("a marker is neither shown nor kept", () => {
  const session = opened();
  const { text, sound } = service(session);
  text("USER", "FINAL", "Hello.");
  text("ASSISTANT", "SPECULATIVE", "Hi.");
  sound(SECOND_OF_ANSWER);
  text("ASSISTANT", "FINAL", '{ "interrupted" : true }');
  assert.doesNotMatch(JSON.stringify([session.takeNews(), session.turn(1)]), /interrupted\\"/);
});

test("an answer whose sound came whole is interrupted at the loudspeaker too", () => {
  const session = opened();
  const { text, sound } = service(session);
  text("USER", "FINAL", "Hello.");
  text("ASSISTANT", "SPECULATIVE", "A long answer.");
  sound(SECOND_OF_ANSWER, "END_TURN");
  session.takeNews();
  text("ASSISTANT", "FINAL", '{ "interrupted" : true }');
  assert.deepEqual(session.takeNews(), [{ type: "interrupted", turn: 1 }]);
});

test("of an interrupted answer the sentences are kept whose sound had begun", () => {
  const session = opened();
  const { text, sound } = service(session);
  text("USER", "FINAL", "Count.");
  for (const number of ["One.", "Two.", "Three."]) {
    text("ASSISTANT", "SPECULATIVE", number);
    sound(SECOND_OF_ANSWER, "PARTIAL_TURN");
  }
  session.heard(1, 1_200);
  text("ASSISTANT", "FINAL", '{ "interrupted" : true }');
  assert.equal(session.turn(1).assistantText, "One. Two.");
  session.heard(1, 700);
  assert.equal(session.turn(1).assistantText, "One. Two.", "a smaller figure changes nothing");
});

test("an answer without a question is a turn", () => {
  const session = opened();
  const { text, sound } = service(session);
  text("ASSISTANT", "SPECULATIVE", "Good evening.");
  sound(SECOND_OF_ANSWER, "END_TURN");
  assert.equal(session.turn(1).userText, "");
  assert.equal(session.turn(1).assistantText, "Good evening.");
});

test("tokens are added up by turn, from what each event adds", () => {
  const session = opened();
  const { say, text } = service(session);
  const spend = (speechTokens, textTokens) =>
    say("usageEvent", {
      details: { delta: { input: { speechTokens, textTokens: 1 }, output: { speechTokens: 0, textTokens } }, total: {} },
    });
  spend(5, 0);
  text("USER", "FINAL", "Hello.");
  spend(7, 2);
  spend(3, 4);
  const told = session.takeNews().filter(({ type }) => type === "usage");
  assert.deepEqual(
    told.map(({ turn, counts }) => [turn, counts.speechIn, counts.textIn, counts.textOut]),
    [
      [0, 5, 1, 0],
      [1, 7, 1, 2],
      [1, 10, 2, 6],
    ],
  );
});

test("what is not known or makes no sense is ignored", () => {
  const session = opened();
  const { say } = service(session);
  say("somethingNew", { contentId: "x" });
  say("textOutput", { contentId: "never started", content: "Hello" });
  say("audioOutput", { contentId: "never started", content: SECOND_OF_ANSWER });
  say("contentEnd", { contentId: "never started", stopReason: "END_TURN" });
  say("usageEvent", {});
  session.receive({}, 0);
  assert.deepEqual(types(session.takeNews()), ["usage"]);
});

test("it is closed in order, and waits for the service's last words", () => {
  const session = opened();
  session.audio("AAAA");
  session.takeOutgoing();
  session.close(5_000);
  assert.deepEqual(
    session.takeOutgoing().map((event) => Object.keys(event)[0]),
    ["contentEnd", "promptEnd", "sessionEnd"],
  );
  assert.equal(session.state, "closing");
  const { say } = service(session);
  say("usageEvent", { details: { delta: { input: { speechTokens: 1 }, output: {} } } });
  say("completionEnd", { stopReason: "END_TURN" });
  assert.deepEqual(types(session.takeNews()), ["usage", "ended"]);
  assert.equal(session.state, "ended");
});

test("a service that says nothing more is waited for two seconds", () => {
  const session = opened();
  session.close(5_000);
  session.tick(6_900);
  assert.equal(session.state, "closing");
  session.tick(7_000);
  assert.deepEqual(session.takeNews(), [{ type: "ended", reason: "closed" }]);
});

test("a stream into which nobody spoke gets silence before its end, or the service refuses it", () => {
  const session = opened();
  session.takeOutgoing();
  session.close(0);
  const [{ audioInput }] = session.takeOutgoing();
  assert.equal(Buffer.from(audioInput.content, "base64").length, 3_200);
});

test("the end after eight minutes is told half a minute before, once, and then comes in order", () => {
  const session = opened();
  session.audio("AAAA");
  session.tick(LIMIT_MS - 30_001);
  assert.deepEqual(session.takeNews(), []);
  session.tick(LIMIT_MS - 30_000);
  session.tick(LIMIT_MS - 29_000);
  assert.deepEqual(session.takeNews(), [{ type: "ending", seconds: 25 }]);
  session.takeOutgoing();
  session.tick(LIMIT_MS - 5_000);
  assert.equal(Object.keys(session.takeOutgoing().at(-1))[0], "sessionEnd");
  session.lost("error");
  assert.deepEqual(session.takeNews(), [{ type: "ended", reason: "limit" }]);
});

test("an answer that was cut off by the stream's end is kept as interrupted, and told before the end", () => {
  const session = opened();
  const { text, sound } = service(session);
  text("USER", "FINAL", "Hello.");
  text("ASSISTANT", "SPECULATIVE", "Hi.");
  sound(SECOND_OF_ANSWER);
  session.heard(1, 100);
  session.takeNews();
  session.lost("error");
  session.lost("gone");
  assert.deepEqual(session.takeNews(), [
    { type: "turn_ended", turn: 1, interrupted: true },
    { type: "ended", reason: "error" },
  ]);
  assert.equal(session.turn(1).assistantText, "Hi.");
  text("USER", "FINAL", "Anybody?");
  assert.deepEqual(session.takeNews(), []);
});

test("it is opened once, and may be closed before", () => {
  const session = opened();
  assert.throws(() => session.open(0), /opened once/);
  const early = new DirectSession({ system: "", voice: "tiffany" });
  early.close(0);
  assert.deepEqual([early.takeOutgoing(), early.takeNews()], [[], [{ type: "ended", reason: "closed" }]]);
});
