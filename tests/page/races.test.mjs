/** The client where things happen at once: what one does while another is under way, with audio that is played. */

import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";

import { NovaSonic } from "../../python/novasonic/contrib/django/static/novasonic/novasonic.js";
import { pieces } from "../../python/novasonic/contrib/django/static/novasonic/recording.js";
import { initialized, last, settled, Socket } from "./socket.mjs";

/** Audio contexts that are not closed. @type {Set<AudioContext>} */
const running = new Set();
/** Worklet nodes, by name the newest. @type {Record<string, {port: object}>} */
let nodes;
/** Each answer of getUserMedia, in order. @type {PromiseWithResolvers<object>[]} */
let asked;
let permission;
let devices;
let recordingSeconds;

class AudioContext {
  destination = {};
  audioWorklet = { addModule: async () => {} };
  constructor() {
    running.add(this);
  }
  async resume() {}
  async close() {
    running.delete(this);
  }
  createMediaStreamSource = (stream) => ({ stream, connect() {}, disconnect() {} });
}

class AudioWorkletNode {
  constructor(_, name) {
    this.port = { postMessage() {} };
    nodes[name] = this;
  }
  connect = (next) => next;
}

const microphone = () => {
  const track = { readyState: "live", stop: () => (track.readyState = "ended") };
  return { track, getTracks: () => [track] };
};

const page = {
  isSecureContext: true,
  AudioContext,
  AudioWorkletNode,
  AnalyserNode: class {
    connect() {}
    getFloatTimeDomainData() {}
  },
  OfflineAudioContext: class {
    constructor(_, __, rate) {
      const length = rate * recordingSeconds;
      this.decodeAudioData = async () => ({ length, numberOfChannels: 1, getChannelData: () => new Float32Array(length) });
    }
  },
  navigator: {
    permissions: { query: async () => ({ state: await permission }) },
    mediaDevices: Object.assign(new EventTarget(), {
      getUserMedia: () => {
        asked.push(Promise.withResolvers());
        return asked.at(-1).promise;
      },
    }),
  },
  document: Object.assign(new EventTarget(), { hidden: false }),
  location: { href: "http://localhost/" },
  WebSocket: Socket,
};
for (const [name, value] of Object.entries(page)) {
  Object.defineProperty(globalThis, name, { value, configurable: true });
}
({ mediaDevices: devices } = page.navigator);

/** @type {unknown[]} */
const unhandled = [];
process.on("unhandledRejection", (error) => unhandled.push(error));

beforeEach(() => {
  Socket.all = [];
  running.clear();
  unhandled.length = 0;
  nodes = {};
  asked = [];
  permission = "granted";
  recordingSeconds = 1;
  mock.timers.enable({ apis: ["setTimeout"] });
});
afterEach(() => {
  mock.timers.reset();
  assert.deepEqual(unhandled, []);
});

async function wait(ms) {
  mock.timers.tick(ms);
  await settled();
}

const refusal = (name) => Object.assign(new Error(name), { name });
const speaks = () => nodes["novasonic-capture"].port.onmessage({ data: { pcm: new Int16Array(512).buffer, level: 0.1 } });
const frames = (socket) => socket.sent.filter((frame) => frame instanceof ArrayBuffer).length;
const chunks = (socket) => socket.sent.filter(({ type }) => type === "audio_chunk").length;
const hides = (hidden) => {
  document.hidden = hidden;
  document.dispatchEvent(new Event("visibilitychange"));
};

async function talking({ stream = null, ...options } = {}) {
  const nova = new NovaSonic({ url: "/ws/", ...options });
  const started = nova.start({ microphone: stream !== null });
  await settled();
  asked[0]?.resolve(stream);
  await last().opens(initialized("r1"));
  await started;
  return nova;
}

test("whoever stops and starts at once talks", async () => {
  const nova = new NovaSonic({ url: "/ws/" });
  const first = assert.rejects(nova.start({ microphone: false }), /ended/);
  nova.stop();
  const second = nova.start({ microphone: false });
  await settled();
  await last().opens(initialized("r1"));
  await Promise.all([first, second]);
  assert.equal(nova.state, "listening");
});

test("a page that starts anew where it is told of the end talks", async () => {
  const nova = await talking();
  let again;
  nova.addEventListener("state", ({ detail }) => {
    if (detail.state === "failed") {
      again ??= nova.start({ microphone: false });
    }
  });
  await last().closes(4500);
  await last().opens(initialized("r2"));
  await again;
  assert.equal(nova.state, "listening");
});

test("whoever stops while the sound opens leaves no sound open", async () => {
  const nova = new NovaSonic({ url: "/ws/" });
  const loaded = Promise.withResolvers();
  const started = assert.rejects(nova.start({ microphone: false }));
  for (const context of running) {
    context.audioWorklet.addModule = () => loaded.promise;
  }
  nova.stop();
  await started;
  loaded.resolve();
  await settled();
  assert.equal(running.size, 0);
});

test("nor where the server's rates are others", async () => {
  const nova = new NovaSonic({ url: "/ws/" });
  const loaded = Promise.withResolvers();
  const addModule = () => loaded.promise;
  const { AudioContext: Plain } = globalThis;
  Object.defineProperty(globalThis, "AudioContext", {
    configurable: true,
    value: class extends Plain {
      audioWorklet = { addModule };
    },
  });
  const started = assert.rejects(nova.start({ microphone: false }));
  await settled();
  await last().opens({ ...initialized("r1"), inputRate: 8000 });
  nova.stop();
  loaded.resolve();
  await started;
  Object.defineProperty(globalThis, "AudioContext", { configurable: true, value: Plain });
  assert.equal(running.size, 0);
});

test("a microphone that comes when the conversation is over is let go", async () => {
  const [first, second] = [microphone(), microphone()];
  const nova = await talking({ stream: first });
  const chosen = nova.useDevice("b");
  nova.stop();
  asked.at(-1).resolve(second);
  await chosen;
  assert.deepEqual([first.track.readyState, second.track.readyState], ["ended", "ended"]);
  assert.equal(nova.listens, false);
});

test("of two microphones that were chosen the last one stays, whichever opens first", async () => {
  const nova = await talking({ stream: microphone() });
  const [a, b] = [microphone(), microphone()];
  const chosen = [nova.useDevice("a"), nova.useDevice("b")];
  asked[2].resolve(b);
  await settled();
  asked[1].resolve(a);
  await Promise.all(chosen);
  assert.deepEqual([a.track.readyState, b.track.readyState], ["ended", "live"]);
});

test("a microphone that was unplugged is looked for although the page was hidden meanwhile", async () => {
  const stream = microphone();
  const nova = await talking({ stream });
  stream.track.onended();
  await settled();
  asked.at(-1).reject(refusal("NotFoundError"));
  await settled();
  assert.equal(nova.condition, "unplugged");
  hides(true);
  assert.equal(nova.condition, "hidden");
  hides(false);
  assert.equal(nova.condition, "unplugged");
  devices.dispatchEvent(new Event("devicechange"));
  await settled();
  asked.at(-1).resolve(microphone());
  await settled();
  assert.ok(nova.listens);
});

test("devices that come in a burst leave one microphone open", async () => {
  const stream = microphone();
  const nova = await talking({ stream });
  stream.track.onended();
  await settled();
  asked[1].reject(refusal("NotFoundError"));
  await settled();
  for (let count = 0; count < 3; count++) {
    devices.dispatchEvent(new Event("devicechange"));
  }
  await settled();
  const found = [microphone(), microphone()];
  asked[4].resolve(found[1]);
  await settled();
  asked[2].resolve(found[0]);
  asked[3].reject(refusal("NotReadableError"));
  await settled();
  assert.deepEqual([nova.listens, nova.condition], [true, "changed"]);
  assert.deepEqual(found.map(({ track }) => track.readyState), ["ended", "live"]);
});

test("a microphone that is denied does not end what was begun by keyboard meanwhile", async () => {
  permission = "prompt";
  const nova = new NovaSonic({ url: "/ws/" });
  const started = assert.rejects(nova.start(), { code: "denied" });
  await settled();
  const typed = nova.sendText("Are you there?");
  await last().opens(initialized("r1"));
  asked[0].reject(refusal("NotAllowedError"));
  await Promise.all([started, typed]);
  assert.deepEqual([nova.state, nova.condition], ["listening", "denied"]);
});

test("a microphone that is denied before the browser tells whether it is allowed is a refusal like others", async () => {
  const told = Promise.withResolvers();
  permission = told.promise;
  const nova = new NovaSonic({ url: "/ws/" });
  const started = assert.rejects(nova.start(), { code: "denied" });
  await settled();
  asked[0].reject(refusal("NotAllowedError"));
  await settled();
  told.resolve("denied");
  await started;
});

test("whoever stops is not brought back by what was typed", async () => {
  const nova = await talking();
  last().close();
  const typed = assert.rejects(nova.sendText("Are you there?"), /ended/);
  await settled();
  nova.stop();
  await wait(50);
  await typed;
  assert.equal(Socket.all.length, 1);
});

test("whoever stops while a recording is spoken is heard in the next conversation, which hears no more of it", async () => {
  recordingSeconds = 40;
  const nova = await talking();
  const spoken = nova.speak(new ArrayBuffer(1)).catch(() => {});
  await settled();
  nova.stop();
  const stream = microphone();
  const again = nova.start();
  await settled();
  asked[0].resolve(stream);
  await last().opens(initialized("r2"));
  await again;
  await spoken;
  await wait(1000);
  speaks();
  assert.equal(chunks(last()), 0);
  assert.equal(frames(last()), 1);
});

test("two recordings are spoken one after the other, as the server holds half a minute", async () => {
  recordingSeconds = 20;
  const nova = await talking();
  const both = Promise.all([nova.speak(new ArrayBuffer(1)), nova.speak(new ArrayBuffer(1))]);
  await settled();
  const first = chunks(last());
  assert.equal(first, Math.ceil((20 * 32_000) / 24_000));
  await wait(20_000);
  assert.equal(chunks(last()), 2 * first);
  await wait(20_000);
  await both;
});

test("no piece of a recording is longer than a second", () => {
  for (const rate of [8000, 11_025, 16_000, 48_000]) {
    for (const { ms } of pieces(new Uint8Array(rate * 6), rate)) {
      assert.ok(ms <= 1000, `${ms} ms at ${rate} Hz`);
    }
  }
});

test("what is said while a recording is awaited does not mix with it", async () => {
  const nova = await talking({ stream: microphone() });
  await last().closes(1006);
  for (let count = 0; count < 200; count++) {
    speaks();
  }
  await wait(250);
  await last().opens(initialized("r2"));
  const spoken = nova.speak(new ArrayBuffer(1));
  await settled();
  speaks();
  assert.equal(frames(last()), 0);
  await wait(1000);
  await spoken;
  speaks();
  assert.ok(frames(last()) > 0);
});

test("with half duplex a page that comes back while the answer is played does not listen to it", async () => {
  const nova = await talking({ stream: microphone(), halfDuplex: true });
  const report = (type) => nodes["novasonic-playback"].port.onmessage({ data: { type, turn: 1, ms: 0, underruns: 0 } });
  last().says({ type: "turn_started", turn: 1 });
  report("playing");
  assert.equal(nova.state, "speaking");
  await last().closes(1006);
  speaks();
  await wait(250);
  await last().opens(initialized("r2"), { type: "resumed", sessionId: "5f", turn: 1 });
  speaks();
  assert.equal(nova.state, "speaking");
  assert.equal(frames(last()), 0);
  report("drained");
  speaks();
  assert.equal(nova.state, "listening");
  assert.equal(frames(last()), 1);
});

test("what is said while the line opens is kept, and sent once it is open", async () => {
  permission = "prompt";
  const stream = microphone();
  const nova = new NovaSonic({ url: "/ws/" });
  const started = nova.start();
  await settled();
  asked[0].resolve(stream);
  await settled();
  assert.deepEqual([nova.state, nova.listens], ["connecting", true]);
  for (let count = 0; count < 20; count++) {
    speaks();
  }
  await last().opens(initialized("r1"));
  await started;
  speaks();
  assert.equal(frames(last()), 21);
});

for (const late of [false, true]) {
  test(`at other rates than before the microphone stays${late ? ", be it opened last" : ""}`, async () => {
    const stream = microphone();
    const nova = new NovaSonic({ url: "/ws/" });
    const started = nova.start();
    await settled();
    const answer = async () => asked[0].resolve(stream);
    const open = () => last().opens({ ...initialized("r1"), inputRate: 8000 });
    await Promise.all(late ? [open(), answer()] : [answer(), settled().then(open)]);
    await started;
    speaks();
    assert.deepEqual([nova.listens, stream.track.readyState, running.size], [true, "live", 2]);
    assert.equal(frames(last()), 1);
    nova.stop();
    assert.deepEqual([stream.track.readyState, running.size], ["ended", 0]);
  });
}

test("whoever stops while the line opens is not listened to", async () => {
  const stream = microphone();
  const nova = new NovaSonic({ url: "/ws/" });
  const started = assert.rejects(nova.start(), /ended/);
  await settled();
  asked[0].resolve(stream);
  await settled();
  nova.stop();
  await started;
  assert.deepEqual([nova.state, nova.listens, stream.track.readyState], ["ended", false, "ended"]);
});

test("another microphone that cannot be opened leaves the one before, and nothing to be told for ever", async () => {
  const stream = microphone();
  const nova = await talking({ stream });
  const chosen = assert.rejects(nova.useDevice("b"), { code: "busy" });
  asked[1].reject(refusal("NotReadableError"));
  await chosen;
  assert.deepEqual([nova.listens, nova.condition, stream.track.readyState], [true, null, "live"]);
});
