"""The control interface, as any process of this machine reaches it."""

import asyncio
import http.client
import json

import pytest
from rawsupport import audio, opening

import novasonic
from novasonic.emulator import Emulator, Fault

PCM = bytes(range(200)) * 8


@pytest.fixture
async def emulator():
    async with Emulator("echo", record=True) as emulator:
        yield emulator


@pytest.fixture
def ask(emulator):
    """Sends one request with the token, and gives status and answer."""

    def blocking(method, path, body=None, headers=None):
        connection = http.client.HTTPConnection(emulator.control_url.removeprefix("http://"), timeout=10)
        try:
            usual = {"Authorization": f"Bearer {emulator.control_token}"}
            data = body if isinstance(body, str) or body is None else json.dumps(body)
            connection.request(method, path, data, usual | (headers or {}))
            response = connection.getresponse()
            read = response.read()
            is_json = response.headers["content-type"] == "application/json"
            return response.status, json.loads(read) if is_json else read
        finally:
            connection.close()

    async def ask(*request, **options):
        return await asyncio.to_thread(blocking, *request, **options)

    return ask


async def start(stream):
    for event in [*opening(), audio(PCM)]:
        await stream.send(event)
    async for received in stream:
        if "audioOutput" in received["event"]:
            return


async def test_faults_are_set_listed_and_cleared(emulator, ask):
    fault = {"kind": "refuse", "status": 403, "name": "AccessDeniedException", "message": "No.", "account": "anna"}
    assert await ask("POST", "/faults", [fault, {"kind": "fin", "after_output": 9, "times": 2}]) == (
        200,
        {
            "faults": [
                {"fault": "refuse", "account": "anna", "stream": None, "times": None, "commits": 0},
                {"fault": "fin after output 9", "account": None, "stream": None, "times": 2, "commits": 0},
            ]
        },
    )
    with pytest.raises(novasonic.AccessDeniedError):
        async with emulator.client(account="anna").open_stream() as stream:
            await start(stream)
    assert (await ask("GET", "/faults"))[1]["faults"][0]["commits"] == 1
    assert await ask("DELETE", "/faults") == (200, {"faults": []})
    async with emulator.client(account="anna").open_stream() as stream:
        await start(stream)


async def test_streams_are_told_and_broken(emulator, ask):
    async with emulator.client(account="anna").open_stream() as stream:
        await start(stream)
        status, told = await ask("GET", "/streams")
        assert status == 200
        (report,) = told["streams"]
        assert (report["account"], report["number"], report["ended"]) == ("anna", 1, None)
        assert report["inputs"]["audioInput"] == report["outputs"]["audioOutput"] == 1
        assert await ask("GET", "/streams/1/pcm") == (200, PCM)
        status, told = await ask("GET", "/streams/1")
        assert told["recording"]["system"] == "You are a parrot."
        assert await ask("POST", "/commit", {"kind": "tcp_reset", "account": "otto"}) == (200, {"streams": 0})
        assert await ask("POST", "/commit", {"kind": "tcp_reset", "account": "anna"}) == (200, {"streams": 1})
        with pytest.raises(novasonic.StreamLostError):
            async for _ in stream:
                pass
    assert (await ask("GET", "/streams/1"))[1]["stream"]["faults"] == ["tcp_reset"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "said"),
    [
        ("POST", "/faults", {"kind": "quake"}, 400, 'no fault is called "quake"'),
        ("POST", "/faults", [{"kind": "fin"}, {"kind": "fin", "cod": 1}], 400, "cod"),
        ("POST", "/faults", "{", 400, "no JSON"),
        ("POST", "/commit", {"kind": "fin", "after_input": 3}, 400, "no place"),
        ("POST", "/commit", [], 400, "one fault at a time"),
        ("PUT", "/faults", None, 405, "method"),
        ("GET", "/streams/1", None, 404, "no such"),
        ("GET", "/streams/x/pcm", None, 404, "no such"),
        ("GET", "/", None, 404, "no such"),
        ("POST", "/faults", " " * 2_000_000, 413, "1 MiB"),
    ],
)
async def test_what_it_cannot_do_it_says(ask, method, path, body, status, said):
    answer = await ask(method, path, body)
    assert answer[0] == status
    assert said in answer[1]["error"]
    assert await ask("GET", "/faults") == (200, {"faults": []})


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Authorization": ""}, 401),
        ({"Authorization": "Bearer 0"}, 401),
        ({"Host": "evil.example"}, 421),
        ({"Host": "127.0.0.1.evil.example"}, 421),
    ],
)
async def test_it_lets_nobody_in_who_was_not_told(emulator, ask, headers, status):
    for method, path in [("GET", "/streams"), ("DELETE", "/faults"), ("GET", "/nothing")]:
        answer = await ask(method, path, headers=headers)
        assert answer[0] == status
        assert emulator.control_token not in str(answer)


async def test_its_token_is_its_own_and_not_shown(emulator):
    other = Emulator(faults=[Fault.fin()])
    async with other:
        assert other.control_token != emulator.control_token
        assert other.control_token not in repr(other)
        assert len(other.control_token) == 64
