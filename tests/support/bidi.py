"""Stock Firefox driven by WebDriver BiDi (https://w3c.github.io/webdriver-bidi/), as far as our tests need it.

Playwright drives a Firefox of its own only, which no user has.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import subprocess
import time
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

import websockets

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

FIREFOX = "/usr/bin/firefox-esr"
START_SECONDS = 60
PREFERENCES = {
    # Loopback only: what Firefox asks the network for (updates, telemetry) goes to a proxy that is not there.
    "network.proxy.type": 1,
    "network.proxy.http": "127.0.0.1",
    "network.proxy.http_port": 9,
    "network.proxy.ssl": "127.0.0.1",
    "network.proxy.ssl_port": 9,
    # Whole milliseconds are too coarse for what is measured.
    "privacy.reduceTimerPrecision": False,
}
# Of WebDriver: https://w3c.github.io/webdriver/#keyboard-actions
KEYS = {"Tab": "\ue004", "ArrowDown": "\ue015", "Shift": "\ue008", "Enter": "\ue007", "Space": " ", "Escape": "\ue00c"}


class PageError(Exception):
    """The browser refused a command, or a page's script threw."""


class Tab:
    """A tab with cookies of its own, with what its console said of errors."""

    def __init__(self, socket: websockets.ClientConnection) -> None:
        self.console: list[str] = []
        self._socket = socket
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._context = self._user = ""
        self._loaded = asyncio.Event()

    async def _read(self) -> None:
        try:
            async for line in self._socket:
                message = json.loads(line)
                if waiting := self._waiting.pop(message.get("id"), None):
                    waiting.set_result(message)
                elif message.get("method") == "browsingContext.load":
                    self._loaded.set()
                elif message.get("method") == "log.entryAdded" and message["params"]["level"] == "error":
                    self.console.append(message["params"]["text"])
        finally:
            for waiting in self._waiting.values():
                waiting.cancel()

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        number = next(self._numbers)
        waiting = self._waiting[number] = asyncio.get_running_loop().create_future()
        await self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        answer = await waiting
        if answer["type"] == "error":
            raise PageError(f"{method}: {answer['error']}: {answer['message']}")
        return answer["result"]

    async def _begin(self) -> None:
        await self.call("session.new", capabilities={})
        await self.call("session.subscribe", events=["log.entryAdded", "browsingContext.load"])
        self._user = (await self.call("browser.createUserContext"))["userContext"]
        created = await self.call("browsingContext.create", type="tab", userContext=self._user)
        self._context = created["context"]

    async def _end(self) -> None:
        await self.call("browser.removeUserContext", userContext=self._user)
        await self.call("session.end")

    async def go(self, url: str) -> None:
        await self.call("browsingContext.navigate", context=self._context, url=url, wait="complete")

    async def run(self, script: str) -> dict[str, Any]:
        result = await self.call(
            "script.evaluate", expression=script, target={"context": self._context}, awaitPromise=True
        )
        if result["type"] == "exception":
            raise PageError(result["exceptionDetails"]["text"])
        return result["result"]

    async def evaluate(self, expression: str) -> Any:
        """Return what the expression, or the promise it is, holds; as JSON would."""
        told = await self.run(f"(async () => JSON.stringify(await ({expression})))()")
        return json.loads(told["value"]) if "value" in told else None

    async def until(self, expression: str, seconds: float = 20) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self.run(
                    f"new Promise((good) => {{ const look = () => ({expression}) ? good() : setTimeout(look, 20);"
                    " look(); })"
                )
        except TimeoutError:
            raise AssertionError(f"never: {expression}") from None

    async def _node(self, selector: str) -> dict[str, Any]:
        """The first element of that selector, in open shadow roots too; CSS itself does not look into them."""
        found = await self.run(f"""(() => {{
          const seek = (root) => root.querySelector({json.dumps(selector)}) ?? within(root);
          const within = (root) => [...root.querySelectorAll("*")].reduce(
            (found, {{shadowRoot}}) => found ?? (shadowRoot && seek(shadowRoot)), null);
          const found = seek(document);
          found?.scrollIntoView({{block: "center", behavior: "instant"}});
          return found;
        }})()""")
        if "sharedId" not in found:
            raise PageError(f"nothing is {selector}")
        return {"sharedId": found["sharedId"]}

    async def focused(self) -> str:
        """The name of what the keyboard speaks to."""
        return await self.evaluate("""(() => {
          let at = document.activeElement;
          while (at?.shadowRoot?.activeElement) at = at.shadowRoot.activeElement;
          return (at?.getAttribute("aria-label") || at?.textContent || "").trim();
        })()""")

    async def click(self, selector: str) -> None:
        """Press it with the mouse, as the user would: what is hidden or covered is not pressed."""
        origin = {"type": "element", "element": await self._node(selector)}
        mouse = [
            {"type": "pointerMove", "x": 0, "y": 0, "origin": origin},
            {"type": "pointerDown", "button": 0},
            {"type": "pointerUp", "button": 0},
        ]
        await self._act({"type": "pointer", "id": "mouse", "actions": mouse})

    async def follow(self, selector: str) -> None:
        """Click what leads to another page, and wait for that."""
        self._loaded.clear()
        await self.click(selector)
        async with asyncio.timeout(START_SECONDS):
            await self._loaded.wait()

    async def keys(self, *keys: str) -> None:
        """Press one key after the other: names of KEYS, or text; what begins with + is held, with - let go."""
        strokes = []
        for key in keys:
            downs = [("keyDown", key[1:])] if key[0] == "+" else [("keyUp", key[1:])] if key[0] == "-" else []
            letters = [key] if key in KEYS else list(key)
            for kind, name in downs or [(kind, letter) for letter in letters for kind in ("keyDown", "keyUp")]:
                strokes.append({"type": kind, "value": KEYS.get(name, name)})
        await self._act({"type": "key", "id": "keyboard", "actions": strokes})

    async def _act(self, source: dict[str, Any]) -> None:
        await self.call("input.performActions", context=self._context, actions=[source])


class Firefox:
    """A running browser. It takes seconds to start, so tests share it, each with cookies of its own."""

    def __init__(self, process: subprocess.Popen[bytes], address: str) -> None:
        self._process = process
        self._address = address

    @property
    def runs(self) -> bool:
        return self._process.poll() is None

    @asynccontextmanager
    async def tab(self) -> AsyncIterator[Tab]:
        async with websockets.connect(f"{self._address}/session", max_size=None) as socket:
            tab = Tab(socket)
            reading = asyncio.create_task(tab._read())
            try:
                await tab._begin()
                yield tab
            finally:
                # What the page holds open, microphones too, must be gone when the next test begins.
                await tab._end()
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)


@contextmanager
def running_firefox(folder: Path, environment: dict[str, str], **preferences: Any) -> Iterator[Firefox]:
    """Start a headless Firefox with a new profile; dots in names of `preferences` are written as two underscores."""
    profile = folder / "profile"
    profile.mkdir()
    chosen = PREFERENCES | {name.replace("__", "."): value for name, value in preferences.items()}
    lines = (f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in chosen.items())
    (profile / "user.js").write_text("".join(lines))
    said = folder / "firefox.log"
    with said.open("wb") as log:
        process = subprocess.Popen(
            [FIREFOX, "--headless", "--no-remote", "--profile", str(profile), "--remote-debugging-port", "0"],
            env=environment,
            stdout=log,
            stderr=log,
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while not (address := re.search(r"BiDi listening on (ws://\S+)", said.read_text(errors="replace"))):
            assert process.poll() is None, said.read_text(errors="replace")
            assert time.monotonic() < deadline, "Firefox does not listen"
            time.sleep(0.05)
        yield Firefox(process, address[1])
    finally:
        process.terminate()
        process.wait()
