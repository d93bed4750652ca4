// One conversation, whoever carries it: speak for a second, hear the answer, close in order.

import { setTimeout as sleep } from "node:timers/promises";

import { InvokeModelWithBidirectionalStreamCommand } from "@aws-sdk/client-bedrock-runtime";

const RATE = 16_000;
const CHUNK_MS = 32;
const SPOKEN_CHUNKS = 32;
/** Silence after speech, at the longest: endpointing needs some, and the answer takes its time. */
const SILENT_CHUNKS = 600;

const promptName = "prompt";
const microphone = { promptName, contentName: "microphone" };
const audio = { mediaType: "audio/lpcm", sampleRateHertz: RATE, sampleSizeBits: 16, channelCount: 1, audioType: "SPEECH", encoding: "base64" };

/** @param {(i: number) => number} sample */
function pcm(sample) {
  const bytes = new Uint8Array((RATE * CHUNK_MS * 2) / 1000);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < bytes.length / 2; i += 1) view.setInt16(i * 2, Math.round(sample(i)), true);
  return btoa(String.fromCharCode(...bytes));
}

/** What opens the microphone. */
function* opening() {
  yield { sessionStart: { inferenceConfiguration: { maxTokens: 1024, topP: 0.9, temperature: 0.7 } } };
  yield {
    promptStart: {
      promptName,
      textOutputConfiguration: { mediaType: "text/plain" },
      audioOutputConfiguration: { ...audio, sampleRateHertz: 24_000, voiceId: "tiffany" },
    },
  };
  const system = { promptName, contentName: "system" };
  yield { contentStart: { ...system, type: "TEXT", interactive: false, role: "SYSTEM", textInputConfiguration: { mediaType: "text/plain" } } };
  yield { textInput: { ...system, content: "You are a storyteller." } };
  yield { contentEnd: system };
  yield { contentStart: { ...microphone, type: "AUDIO", interactive: true, role: "USER", audioInputConfiguration: audio } };
}

function* closing() {
  yield { contentEnd: microphone };
  yield { promptEnd: { promptName } };
  yield { sessionEnd: {} };
}

async function* spoken(heard) {
  yield* opening();
  for (let n = 0; n < SPOKEN_CHUNKS; n += 1) {
    yield { audioInput: { ...microphone, content: pcm((i) => 9000 * Math.sin((2 * Math.PI * 440 * i) / RATE)) } };
    await sleep(CHUNK_MS);
  }
  for (let n = 0; n < SILENT_CHUNKS && !heard.answered; n += 1) {
    yield { audioInput: { ...microphone, content: pcm(() => 0) } };
    await sleep(CHUNK_MS);
  }
  yield* closing();
}

/** Sends nothing before the echo of what it sent last is back: only a stream that is open both ways can do that. */
async function* inTurn(heard, rounds) {
  yield* opening();
  for (let n = 1; n <= rounds; n += 1) {
    yield { audioInput: { ...microphone, content: pcm(() => n) } };
    while (heard.echoes < n) await sleep(1);
  }
  yield* closing();
}

/**
 * Hold a conversation and say what came of it.
 * @param {import("@aws-sdk/client-bedrock-runtime").BedrockRuntimeClient} client
 * @param {number} rounds 0: a second of speech and its answer; else so many chunks, each with its echo
 */
export async function talk(client, rounds = 0) {
  const heard = { names: [], texts: [], audioBytes: 0, answered: false, echoes: 0 };
  const events = rounds ? inTurn(heard, rounds) : spoken(heard);
  async function* chunks() {
    const text = new TextEncoder();
    for await (const event of events) yield { chunk: { bytes: text.encode(JSON.stringify({ event })) } };
  }
  // Over HTTP/2 this resolves at the first output event only, so the microphone must already be open by then: it is, in
  // the generator.
  const response = await client.send(
    new InvokeModelWithBidirectionalStreamCommand({ modelId: "amazon.nova-2-sonic-v1:0", body: chunks() }),
  );
  for await (const part of response.body) {
    const [[name, body]] = Object.entries(JSON.parse(new TextDecoder().decode(part.chunk.bytes)).event);
    heard.names.push(name);
    if (name === "textOutput") heard.texts.push([body.role, body.content]);
    if (name === "audioOutput") {
      heard.echoes += 1;
      heard.audioBytes += atob(body.content).length;
    }
    if (name === "contentEnd" && body.type === "AUDIO" && body.stopReason === "END_TURN") heard.answered = true;
  }
  client.destroy();
  return heard;
}
