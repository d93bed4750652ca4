import assert from "node:assert/strict";
import { test } from "node:test";

import * as wire from "../../python/novasonic/contrib/django/static/novasonic/wire.js";

const messages = [
  { type: "initialized", protocol: 1, sessionId: "5f", inputRate: 16000, outputRate: 24000, resumeToken: null },
  { type: "initialized", protocol: 1, sessionId: "5f", inputRate: 16000, outputRate: 24000, resumeToken: "r1" },
  { type: "initialized", protocol: 1, sessionId: "5f", inputRate: 16000, outputRate: 24000 },
  { type: "resumed", sessionId: "5f", turn: 0 },
  { type: "resume_token", resumeToken: "r2" },
  { type: "reconnect", afterMs: 1500, resumeToken: "r3" },
  { type: "reconnect", afterMs: 0, resumeToken: null },
  { type: "queued", position: 3 },
  { type: "heartbeat" },
  { type: "transcript", role: "user", text: "Hello", final: true, turn: 1, segment: 0 },
  { type: "transcript", role: "user", text: "Hello", final: true, turn: null, segment: 0 },
  { type: "turn_started", turn: 1 },
  { type: "turn_ended", turn: 1, interrupted: false },
  { type: "turn_ended", turn: 1, interrupted: false, responseMs: null },
  { type: "turn_ended", turn: 1, interrupted: false, responseMs: 812 },
  { type: "interrupted", turn: 1, source: "model" },
  { type: "tool", turn: 1, id: "t", name: "pay", state: "called", ok: null, seconds: null },
  { type: "tool", turn: null, id: "t", name: "pay", state: "finished", ok: false, seconds: 0.25 },
  { type: "tool", turn: 1, id: "t", name: "pay", state: "called", ok: null, seconds: null, arguments: { to: "Bob" } },
  { type: "tool_approval", turn: 1, id: "t", name: "pay", arguments: { to: "Bob" } },
  { type: "audio_chunk", turn: 1, audio: "AAAA" },
  { type: "usage", turn: 1, total: { speechIn: 1 }, usd: 0.01 },
  { type: "renewing", turn: null, reason: "age" },
  { type: "renewed", turn: 1, ms: 31, replayedMs: 0 },
  { type: "error", code: "bad_json", message: "x", retryable: false, fatal: true, messageId: null },
  { type: "closed", reason: "limit" },
];

for (const message of messages) {
  test(`reads ${JSON.stringify(message)}`, () => {
    assert.deepEqual(wire.parse(JSON.stringify(message)), message);
  });
}

for (const frame of [
  "",
  "{",
  "null",
  "7",
  "[]",
  '{"type":7}',
  '{"type":"turn_started"}',
  '{"type":"turn_started","turn":null}',
  '{"type":"turn_started","turn":"1"}',
  '{"type":"usage","turn":1,"total":null,"usd":1}',
  '{"type":"turn_ended","turn":1,"interrupted":false,"responseMs":"812"}',
  '{"type":"tool","turn":1,"id":"t","name":"pay","state":"finished","ok":"yes","seconds":1}',
  '{"type":"tool","turn":1,"id":"t","state":"called"}',
  '{"type":"tool_approval","turn":1,"id":"t","name":"pay"}',
  '{"type":"tool_approval","turn":1,"id":"t","name":"pay","arguments":"all"}',
  '{"type":"initialized","protocol":1,"sessionId":"x","inputRate":1,"outputRate":1,"resumeToken":7}',
  '{"type":"resumed","sessionId":"x"}',
  '{"type":"resume_token","resumeToken":null}',
  '{"type":"reconnect","afterMs":"soon","resumeToken":"r"}',
  '{"type":"queued","position":null}',
  '{"type":"initialized","protocol":2,"sessionId":"x","inputRate":1,"outputRate":1}',
]) {
  test(`refuses ${frame || "an empty frame"}`, () => {
    assert.throws(() => wire.parse(frame), wire.WireError);
  });
}

test("keeps the name of a message it does not know", () => {
  assert.deepEqual(wire.parse('{"type":"toString"}'), { type: "unknown", name: "toString" });
});

test("writes what the server reads", () => {
  const written = [
    wire.initialize({ voice: "amy" }),
    wire.initialize({ language: "fr", ticket: "t", resumeToken: "r" }),
    wire.textMessage('say "hi"', "m1"),
    wire.played(2, 1250.4),
    wire.toolApproval("t1", false),
    wire.audioChunk("AAAA", true),
    wire.command("interrupt"),
  ];
  assert.deepEqual(
    written.map((frame) => JSON.parse(frame)),
    [
      { type: "initialize", voice: "amy" },
      { type: "initialize", language: "fr", ticket: "t", resumeToken: "r" },
      { type: "text_message", text: 'say "hi"', messageId: "m1" },
      { type: "played", turn: 2, ms: 1250 },
      { type: "tool_approval", id: "t1", approve: false },
      { type: "audio_chunk", audio: "AAAA", isComplete: true },
      { type: "interrupt" },
    ],
  );
});

test("comes back from what was lost, and from nothing that was meant", () => {
  assert.deepEqual([1001, 1006, 1011, 1012].filter(wire.isLost), [1001, 1006, 1011, 1012]);
  const meant = [1000, 1005, 1009, 4400, 4401, 4403, 4408, 4409, 4413, 4429, 4500, 4503];
  assert.deepEqual(meant.filter(wire.isLost), []);
});
