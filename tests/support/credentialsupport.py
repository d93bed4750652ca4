"""Stand-ins on loopback for those who hand out keys, and for a proxy on the way to them."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self


def in_future(**time: float) -> str:
    """As AWS writes the end of keys."""
    return (datetime.now(UTC) + timedelta(**time)).strftime("%Y-%m-%dT%H:%M:%SZ")


class StandIn:
    """An HTTP server; `answer(request)` gives a status and what is sent as JSON, or as it is where it is a string."""

    def __init__(self, answer: Callable[[BaseHTTPRequestHandler], tuple[int, Any]], port: int = 0, host="127.0.0.1"):
        self.asked: list[str] = []
        asked = self.asked

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                asked.append(f"{self.command} {self.path}")
                self.body = self.rfile.read(int(self.headers.get("content-length", 0)))
                status, body = answer(self)
                body = (body if isinstance(body, str) else json.dumps(body)).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                # What a metadata token is sent with.
                self.send_header("x-aws-ec2-metadata-token-ttl-seconds", "21600")
                self.end_headers()
                self.wfile.write(body)

            do_PUT = do_GET  # noqa: N815 - the server asks for these names
            do_POST = do_GET  # noqa: N815

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer((host, port), Handler)
        self._server.daemon_threads = True
        self.url = f"http://{host}:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class ConnectProxy:
    """An HTTP proxy that knows CONNECT. It tunnels to loopback only and refuses everything else."""

    def __init__(self, user: str | None = None) -> None:
        self._expected = None if user is None else f"Basic {base64.b64encode(user.encode()).decode()}"
        self.asked: list[str] = []
        self.tunnels = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.place = "{}:{}".format(*self._server.sockets[0].getsockname())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:])}
            self.asked.append(head[0])
            place = head[0].split()[1]
            if self._expected not in (None, headers.get("proxy-authorization")):
                writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
            elif not place.startswith("127.0.0.1:"):
                writer.write(b"HTTP/1.1 403 Forbidden\r\n\r\n")
            else:
                self.tunnels += 1
                there, out = await asyncio.open_connection(*place.split(":"))
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                await asyncio.gather(pipe(reader, out), pipe(there, writer))
        writer.close()


async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()


def sts_giving(credentials: Any) -> Callable[[BaseHTTPRequestHandler], tuple[int, str]]:
    """As STS answers AssumeRole, with these keys."""

    def answer(_: BaseHTTPRequestHandler) -> tuple[int, str]:
        return 200, (
            '<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult>'
            "<AssumedRoleUser><AssumedRoleId>AROA:page</AssumedRoleId>"
            "<Arn>arn:aws:sts::111122223333:assumed-role/page/page</Arn></AssumedRoleUser>"
            f"<Credentials><AccessKeyId>{credentials.access_key_id}</AccessKeyId>"
            f"<SecretAccessKey>{credentials.secret_access_key}</SecretAccessKey>"
            f"<SessionToken>{credentials.session_token or ''}</SessionToken>"
            f"<Expiration>{in_future(minutes=15)}</Expiration></Credentials>"
            "</AssumeRoleResult></AssumeRoleResponse>"
        )

    return answer
