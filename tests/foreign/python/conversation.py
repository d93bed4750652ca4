"""One conversation by AWS's Python SDK: speak for a second, hear the answer, close in order.

Told by its environment where to call (ENDPOINT, SSL_CERT_FILE and the SDK's own AWS_* variables); prints what came
back as one line of JSON. Runs with either SDK of the two that people use, whose names differ: 0.12.0, and 0.4.0, which
pipecat pins.
"""

import asyncio
import base64
import json
import math
import os
import struct
from typing import Any

from aws_sdk_bedrock_runtime import client as sdk
from aws_sdk_bedrock_runtime import config as sdk_config
from aws_sdk_bedrock_runtime.models import (
    BidirectionalInputPayloadPart,
    InvokeModelWithBidirectionalStreamInputChunk,
    InvokeModelWithBidirectionalStreamOperationInput,
)

RATE = 16_000
CHUNK_MS = 32
SPOKEN_CHUNKS = 32
# Silence after speech, at the longest: endpointing needs some, and the answer takes its time.
SILENT_CHUNKS = 600
AUDIO = {
    "mediaType": "audio/lpcm",
    "sampleRateHertz": RATE,
    "sampleSizeBits": 16,
    "channelCount": 1,
    "audioType": "SPEECH",
    "encoding": "base64",
}


async def connect() -> Any:
    if hasattr(sdk, "AsyncBedrockRuntimeClient"):
        from smithy_http.aio.crt import AWSCRTHTTPClient

        # The SDK's default transport, aiohttp, cannot stream both ways.
        config = await sdk_config.AsyncBedrockRuntimeConfig.resolve(
            endpoint_uri=os.environ["ENDPOINT"], region=os.environ["AWS_REGION"], transport=AWSCRTHTTPClient()
        )
        return sdk.AsyncBedrockRuntimeClient(config=config)
    from smithy_aws_core.identity.environment import EnvironmentCredentialsResolver

    return sdk.BedrockRuntimeClient(
        config=sdk_config.Config(
            endpoint_uri=os.environ["ENDPOINT"],
            region=os.environ["AWS_REGION"],
            aws_credentials_identity_resolver=EnvironmentCredentialsResolver(),
        )
    )


def tone() -> bytes:
    count = RATE * CHUNK_MS // 1000
    return struct.pack(f"<{count}h", *(round(9000 * math.sin(math.tau * 440 * i / RATE)) for i in range(count)))


async def speak(send: Any, answered: asyncio.Event) -> None:
    prompt = {"promptName": "prompt"}
    await send("sessionStart", {"inferenceConfiguration": {"maxTokens": 1024, "topP": 0.9, "temperature": 0.7}})
    voice = {**AUDIO, "sampleRateHertz": 24_000, "voiceId": "tiffany"}
    text = {"mediaType": "text/plain"}
    await send("promptStart", {**prompt, "textOutputConfiguration": text, "audioOutputConfiguration": voice})
    block = {**prompt, "contentName": "system"}
    await send(
        "contentStart",
        {**block, "type": "TEXT", "interactive": False, "role": "SYSTEM", "textInputConfiguration": text},
    )
    await send("textInput", {**block, "content": "You are a storyteller."})
    await send("contentEnd", block)
    microphone = {**prompt, "contentName": "microphone"}
    await send(
        "contentStart",
        {**microphone, "type": "AUDIO", "interactive": True, "role": "USER", "audioInputConfiguration": AUDIO},
    )
    speech = tone()
    for n in range(SPOKEN_CHUNKS + SILENT_CHUNKS):
        if answered.is_set():
            break
        pcm = speech if n < SPOKEN_CHUNKS else bytes(len(speech))
        await send("audioInput", {**microphone, "content": base64.b64encode(pcm).decode()})
        await asyncio.sleep(CHUNK_MS / 1000)
    await send("contentEnd", microphone)
    await send("promptEnd", prompt)
    await send("sessionEnd", {})


async def main() -> None:
    client = await connect()
    stream = await client.invoke_model_with_bidirectional_stream(
        InvokeModelWithBidirectionalStreamOperationInput(model_id="amazon.nova-2-sonic-v1:0")
    )

    async def send(name: str, body: dict[str, Any]) -> None:
        part = BidirectionalInputPayloadPart(bytes_=json.dumps({"event": {name: body}}).encode())
        await stream.input_stream.send(InvokeModelWithBidirectionalStreamInputChunk(value=part))

    async def talk() -> None:
        await speak(send, answered)
        await stream.input_stream.close()

    answered = asyncio.Event()
    heard: dict[str, Any] = {"names": [], "texts": [], "audioBytes": 0}
    talking = asyncio.create_task(talk())
    _, output = await stream.await_output()
    while (part := await output.receive()) is not None:
        ((name, body),) = json.loads(part.value.bytes_)["event"].items()
        heard["names"].append(name)
        if name == "textOutput":
            heard["texts"].append([body["role"], body["content"]])
        elif name == "audioOutput":
            heard["audioBytes"] += len(base64.b64decode(body["content"]))
        elif name == "contentEnd" and body.get("type") == "AUDIO" and body.get("stopReason") == "END_TURN":
            answered.set()
    await talking
    print(json.dumps({**heard, "answered": answered.is_set()}))


asyncio.run(main())
