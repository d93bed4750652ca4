// One conversation by AWS's JavaScript SDK: speak for a second, hear the answer, close in order.
//
// Told by its environment where to call (ENDPOINT, CA_FILE and the SDK's own AWS_* variables); prints what came back as one line of JSON.

import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

import { BedrockRuntimeClient, InvokeModelWithBidirectionalStreamCommand } from "@aws-sdk/client-bedrock-runtime";
import { NodeHttp2Handler } from "@smithy/node-http-handler";

const RATE = 16_000;
const CHUNK_MS = 32;
const SPOKEN_CHUNKS = 32;
/** Silence after speech, at the longest: endpointing needs some, and the answer takes its time. */
const SILENT_CHUNKS = 600;

const client = new BedrockRuntimeClient({
  region: process.env.AWS_REGION,
  endpoint: process.env.ENDPOINT,
  requestHandler: new NodeHttp2Handler({
    requestTimeout: 60_000,
    sessionTimeout: 60_000,
    nodeHttp2ConnectOptions: { ca: readFileSync(process.env.CA_FILE) },
  }),
});

const names = [];
const texts = [];
let audioBytes = 0;
let answered = false;

const audio = { mediaType: "audio/lpcm", sampleRateHertz: RATE, sampleSizeBits: 16, channelCount: 1, audioType: "SPEECH", encoding: "base64" };

/** @param {(i: number) => number} sample */
function pcm(sample) {
  const chunk = Buffer.alloc((RATE * CHUNK_MS * 2) / 1000);
  for (let i = 0; i < chunk.length / 2; i += 1) chunk.writeInt16LE(Math.round(sample(i)), i * 2);
  return chunk.toString("base64");
}

async function* events() {
  const promptName = "prompt";
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
  const microphone = { promptName, contentName: "microphone" };
  yield { contentStart: { ...microphone, type: "AUDIO", interactive: true, role: "USER", audioInputConfiguration: audio } };
  for (let n = 0; n < SPOKEN_CHUNKS; n += 1) {
    yield { audioInput: { ...microphone, content: pcm((i) => 9000 * Math.sin((2 * Math.PI * 440 * i) / RATE)) } };
    await sleep(CHUNK_MS);
  }
  for (let n = 0; n < SILENT_CHUNKS && !answered; n += 1) {
    yield { audioInput: { ...microphone, content: pcm(() => 0) } };
    await sleep(CHUNK_MS);
  }
  yield { contentEnd: microphone };
  yield { promptEnd: { promptName } };
  yield { sessionEnd: {} };
}

async function* chunks() {
  for await (const event of events()) yield { chunk: { bytes: Buffer.from(JSON.stringify({ event })) } };
}

// Resolves at the first output event only, so the microphone must already be open by then: it is, in the generator.
const response = await client.send(
  new InvokeModelWithBidirectionalStreamCommand({ modelId: "amazon.nova-2-sonic-v1:0", body: chunks() }),
);
for await (const part of response.body) {
  const [[name, body]] = Object.entries(JSON.parse(Buffer.from(part.chunk.bytes).toString()).event);
  names.push(name);
  if (name === "textOutput") texts.push([body.role, body.content]);
  if (name === "audioOutput") audioBytes += Buffer.from(body.content, "base64").length;
  if (name === "contentEnd" && body.type === "AUDIO" && body.stopReason === "END_TURN") answered = true;
}
client.destroy();
console.log(JSON.stringify({ names, texts, audioBytes, answered }));
