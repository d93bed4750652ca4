// AWS's JavaScript SDK as Node has it: HTTP/2.
//
// Told by its environment where to call (ENDPOINT, CA_FILE and the SDK's own AWS_* variables); prints what came back as one line of JSON.

import { readFileSync } from "node:fs";

import { BedrockRuntimeClient } from "@aws-sdk/client-bedrock-runtime";
import { NodeHttp2Handler } from "@smithy/node-http-handler";

import { talk } from "./talk.mjs";

const client = new BedrockRuntimeClient({
  region: process.env.AWS_REGION,
  endpoint: process.env.ENDPOINT,
  requestHandler: new NodeHttp2Handler({
    requestTimeout: 60_000,
    sessionTimeout: 60_000,
    nodeHttp2ConnectOptions: { ca: readFileSync(process.env.CA_FILE) },
  }),
});

console.log(JSON.stringify(await talk(client)));
