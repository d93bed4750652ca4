// AWS's JavaScript SDK as browsers have it: its WebSocket handler, its own configuration for browsers. Bundled by bundle.mjs, then
// run by Node, whose WebSocket is a browser's.
//
// Told by its environment where to call (ENDPOINT, the SDK's AWS_* variables, NODE_EXTRA_CA_CERTS for Node) and what to do: ROUNDS (see
// talk.mjs), TAMPER (which message is altered on its way), CLOCK_OFFSET_MS (how far the SDK's clock is off).

import { crc32 } from "node:zlib";

import { BedrockRuntimeClient } from "@aws-sdk/client-bedrock-runtime";

import { talk } from "./talk.mjs";

const { env } = process;
const tampered = Number(env.TAMPER ?? 0);
let sent = 0;
const send = WebSocket.prototype.send;
WebSocket.prototype.send = function (message) {
  sent += 1;
  if (sent === tampered) {
    // A byte of the payload, and the checksum that goes with it: the signature alone can tell.
    const bytes = new DataView(message.buffer, message.byteOffset, message.byteLength);
    const end = message.byteLength - 4;
    bytes.setUint8(end - 20, bytes.getUint8(end - 20) ^ 1);
    bytes.setUint32(end, crc32(message.subarray(0, end)));
  }
  return send.call(this, message);
};

const client = new BedrockRuntimeClient({
  region: env.AWS_REGION,
  endpoint: env.ENDPOINT,
  credentials: {
    accessKeyId: env.AWS_ACCESS_KEY_ID,
    secretAccessKey: env.AWS_SECRET_ACCESS_KEY,
    sessionToken: env.AWS_SESSION_TOKEN,
  },
  systemClockOffset: Number(env.CLOCK_OFFSET_MS ?? 0),
});
console.log(JSON.stringify(await talk(client, Number(env.ROUNDS ?? 0))));
