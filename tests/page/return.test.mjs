/** A page whose server goes away: the client against a socket that does what it is told. No audio in Node. */

import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";

import { NovaSonic } from "../../python/novasonic/contrib/django/static/novasonic/novasonic.js";
import { initialized, last, settled, Socket } from "./socket.mjs";

const fatal = (code, retryable) => ({ type: "error", code, message: "x", retryable, fatal: true, messageId: null });

beforeEach(() => {
  Socket.all = [];
  globalThis.WebSocket = Socket;
  globalThis.location = { href: "http://localhost/" };
  mock.timers.enable({ apis: ["setTimeout"] });
});
afterEach(() => mock.timers.reset());

async function wait(ms) {
  mock.timers.tick(ms);
  await settled();
}

async function talking(choices) {
  const nova = new NovaSonic({ url: "/ws/", choices });
  const told = [];
  for (const type of ["state", "initialized", "resumed"]) {
    nova.addEventListener(type, ({ detail }) => told.push(type === "state" ? detail.state : type));
  }
  const started = nova.start({ microphone: false });
  await settled();
  await last().opens(initialized("r1"));
  await started;
  return { nova, told };
}

test("a page that lost its socket comes back with the newest token", async () => {
  const { nova, told } = await talking({ language: "fr" });
  last().says({ type: "resume_token", resumeToken: "r2" });
  await last().closes(1006);
  assert.equal(nova.state, "reconnecting");
  await wait(250);
  assert.equal(Socket.all.length, 2);
  await last().opens(initialized("r3"), { type: "resumed", sessionId: "5f", turn: 4 });
  assert.deepEqual(last().sent, [{ type: "initialize", language: "fr", resumeToken: "r2" }]);
  assert.deepEqual(told, ["connecting", "initialized", "listening", "reconnecting", "initialized", "listening", "resumed"]);
  assert.ok(nova.open);
  await last().closes(1012);
  await wait(250);
  await last().opens(initialized("r4"));
  assert.equal(last().sent[0].resumeToken, "r3");
});

test("what is typed meanwhile is said then, and a muted page stays muted", async () => {
  const { nova } = await talking();
  nova.mute(true);
  await last().closes(1006);
  const typed = nova.sendText("Are you there?");
  await wait(250);
  await last().opens(initialized("r2"));
  await typed;
  const [, muted, text] = last().sent;
  assert.deepEqual([muted.type, text.type, text.text], ["mute", "text_message", "Are you there?"]);
});

test("it tries until a worker takes it", async () => {
  const { nova } = await talking();
  await last().closes(1006);
  await wait(250);
  await last().closes(1006);
  await wait(500);
  await last().opens();
  await last().closes(4503, fatal("draining", true));
  await wait(1000);
  assert.equal(Socket.all.length, 4);
  await last().opens(initialized("r2"));
  assert.equal(nova.state, "listening");
});

test("it goes when it is sent away, and not before", async () => {
  await talking();
  last().says({ type: "reconnect", afterMs: 5000, resumeToken: "r9" });
  await last().closes(1012);
  await wait(4900);
  assert.equal(Socket.all.length, 1);
  await wait(200);
  assert.equal(Socket.all.length, 2);
  await last().opens(initialized("r10"));
  assert.equal(last().sent[0].resumeToken, "r9");
});

test("where the nova is gone the user is told so", async () => {
  const { nova } = await talking();
  let words = "";
  nova.addEventListener("state", ({ detail }) => (words = detail.words));
  await last().closes(1006);
  const typed = assert.rejects(nova.sendText("Are you there?"), /conversation with it/);
  await wait(250);
  await last().opens();
  await last().closes(4403, fatal("resume_unavailable", false));
  assert.equal(nova.state, "failed");
  assert.match(words, /conversation with it/);
  await typed;
});

test("whoever stops meanwhile is not brought back", async () => {
  const { nova } = await talking();
  await last().closes(1006);
  nova.stop();
  await wait(10_000);
  assert.equal(Socket.all.length, 1);
  assert.equal(nova.state, "ended");
});

test("whoever stops when it has just come back stays stopped", async () => {
  const { nova } = await talking();
  await last().closes(1006);
  await wait(10_000);
  nova.addEventListener("initialized", () => nova.stop());
  await last().opens(initialized("t2"));
  assert.equal(nova.state, "ended");
});

for (const code of [1000, 4409, 4429, 4500]) {
  test(`nobody comes back from ${code}`, async () => {
    const { nova } = await talking();
    await last().closes(code);
    await wait(10_000);
    assert.equal(Socket.all.length, 1);
    assert.equal(nova.state, code === 1000 ? "ended" : "failed");
  });
}

test("without a token there is nothing to come back to", async () => {
  const nova = new NovaSonic({ url: "/ws/" });
  const started = nova.start({ microphone: false });
  await settled();
  await last().opens(initialized(null));
  await started;
  await last().closes(1006);
  assert.equal(nova.state, "failed");
});

test("what fails before the page can talk is reported to whoever wanted to", async () => {
  const nova = new NovaSonic({ url: "/ws/" });
  const started = assert.rejects(nova.start({ microphone: false }), /lost/);
  await settled();
  await last().closes(1006);
  await started;
  assert.equal(nova.state, "failed");
});

test("each socket has a ticket of its own, and one that cannot be had now is asked for again", async () => {
  let number = 0;
  const ticket = async () => {
    number += 1;
    if (number === 2) {
      throw new Error("offline");
    }
    return { ticket: `t${number}` };
  };
  const { nova } = await talking(ticket);
  assert.deepEqual(last().sent, [{ type: "initialize", ticket: "t1" }]);
  await last().closes(1006);
  await wait(250);
  assert.equal(Socket.all.length, 1);
  await wait(500);
  await last().opens(initialized("r2"));
  assert.deepEqual(last().sent, [{ type: "initialize", ticket: "t3", resumeToken: "r1" }]);
  assert.equal(nova.state, "listening");
});
