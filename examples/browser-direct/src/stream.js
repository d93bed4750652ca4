/** AWS's SDK: events out, events in. In a browser it goes over a WebSocket, whose address and frames it signs. */

import { BedrockRuntimeClient, InvokeModelWithBidirectionalStreamCommand } from "@aws-sdk/client-bedrock-runtime";

/** @import { ServiceEvent } from "./direct.js" */
/** @import { Keys } from "./server.js" */

/** Also how long a refusal takes to be noticed: the SDK waits it out. Its own three seconds are too few for bad networks. */
const CONNECTION_MS = 8_000;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/**
 * Open a stream. Whatever is wrong, from a refused signature to no network, the SDK says the same, and late: browsers
 * tell no page why a WebSocket was refused.
 *
 * @param {Keys} keys
 * @param {AsyncIterable<ServiceEvent>} outgoing ends the stream when it ends
 * @param {string} [endpoint] another address of the service: an emulator, a VPC endpoint
 * @returns {Promise<AsyncIterable<ServiceEvent>>}
 */
export async function openStream(keys, outgoing, endpoint) {
  const client = new BedrockRuntimeClient({
    region: keys.region,
    endpoint: endpoint || undefined,
    credentials: {
      accessKeyId: keys.accessKeyId,
      secretAccessKey: keys.secretAccessKey,
      sessionToken: keys.sessionToken || undefined,
    },
    requestHandler: { connectionTimeout: CONNECTION_MS },
    // A second attempt would send what was said to a stream that knows nothing of its beginning.
    maxAttempts: 1,
  });
  const command = new InvokeModelWithBidirectionalStreamCommand({ modelId: keys.model, body: encoded(outgoing) });
  try {
    const { body } = await client.send(command);
    return decoded(body ?? [], client);
  } catch (error) {
    // What it no longer waits for may yet open, and would hold one of the account's streams.
    client.destroy();
    throw error;
  }
}

/** @param {AsyncIterable<ServiceEvent>} events */
async function* encoded(events) {
  for await (const event of events) {
    yield { chunk: { bytes: encoder.encode(JSON.stringify({ event })) } };
  }
}

/** @param {any} parts @param {BedrockRuntimeClient} client @returns {AsyncGenerator<ServiceEvent>} */
async function* decoded(parts, client) {
  try {
    for await (const part of parts) {
      if (part.chunk?.bytes) {
        yield JSON.parse(decoder.decode(part.chunk.bytes)).event ?? {};
      }
    }
  } finally {
    client.destroy();
  }
}
