"""``novasonic demo`` as a process: what it prints, what it serves, what it leaves behind."""

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager

import click
import pytest
import websockets
from websupport import ROOT, Site, free_port

from novasonic.cli.demo import LAST_PORT, can_open_browser, first_line, host_names, listen, ssh_hint

READY = re.compile(r"Ready in [\d.]+ s\. Open http://localhost:(\d+)/")


@contextmanager
def demo(*options, browser=False, **environment):
    """Run the command; gives its Site, and the lines up to and with the address."""
    quiet = [] if browser else ["--no-browser"]
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "novasonic", "demo", *quiet, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **environment},
    )
    try:
        lines = []
        for line in process.stdout:
            lines.append(line)
            if found := READY.search(line):
                break
        else:
            pytest.fail("".join(lines))
        yield Site(process, int(found[1])), lines
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def children(pid):
    listing = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return [int(child) for child in listing.stdout.split()]


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    "site_options",
    [(), ("--app", "storyteller.asgi:application", "--app-dir", str(ROOT / "examples" / "storyteller"))],
    ids=["stock", "storyteller"],
)
async def test_it_talks_and_leaves_nothing_behind(how, site_options):
    with demo("--port", str(free_port()), *site_options) as (site, _):
        (emulator,) = children(site.process.pid)
        path = "api/nova-sonic/stream" if site_options else "novasonic/ws/"
        headers = {"Cookie": site.sign_in()}
        async with websockets.connect(site.socket_url + path, origin=site.origin, additional_headers=headers) as page:
            await page.send(json.dumps({"type": "text_message", "text": "tell me a story"}))
            async with asyncio.timeout(30):
                while not isinstance(await page.recv(), bytes):
                    pass
            # An open conversation must not hold it up, nor end in a traceback.
            site.process.send_signal(how)
            output, _ = await asyncio.to_thread(site.process.communicate, timeout=20)
        assert site.process.returncode == 0, output
        assert "Stopped." in output
        assert "Traceback" not in output
        assert not is_alive(emulator)


@pytest.mark.slow
def test_a_taken_port_moves_on_and_a_remote_terminal_is_told_what_helps(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        remote = {"SSH_CONNECTION": "198.51.100.7 50000 203.0.113.9 22"}
        # Killed below, it leaves its state behind.
        with demo("--port", str(port), TMPDIR=str(tmp_path), **remote) as (site, lines):
            assert f"Port {port} is taken.\n" in lines
            assert site.port > port
            rest = [site.process.stdout.readline() for _ in range(4)]
            assert any(f"ssh -L {site.port}:localhost:{site.port} " in line and "@203.0.113.9" in line for line in rest)
            emulator = children(site.process.pid)
            site.process.kill()
            site.process.wait()
        if sys.platform == "linux":
            # Killed without a chance to clean up, it takes its emulator along.
            subprocess.run(["timeout", "10", "tail", f"--pid={emulator[0]}", "-f", os.devnull], check=True)


@pytest.mark.slow
def test_without_its_emulator_it_ends_and_says_so():
    with demo("--port", "0") as (site, _):
        (emulator,) = children(site.process.pid)
        os.kill(emulator, signal.SIGTERM)
        output, _ = site.process.communicate(timeout=20)
    assert site.process.returncode == 1
    assert "The emulator ended by itself" in output
    assert "Traceback" not in output


@pytest.mark.slow
def test_an_emulator_that_does_not_stop_is_killed():
    with demo("--port", "0") as (site, _):
        (emulator,) = children(site.process.pid)
        os.kill(emulator, signal.SIGSTOP)
        site.process.send_signal(signal.SIGTERM)
        output, _ = site.process.communicate(timeout=20)
    assert site.process.returncode == 0, output
    assert not is_alive(emulator)


@pytest.mark.slow
def test_the_page_is_opened_where_the_user_sits(tmp_path):
    # A browser that stays in the foreground, as one that BROWSER names may: it must be served all the same.
    seen = tmp_path / "seen"
    browser = tmp_path / "browser"
    browser.write_text(
        f"#!{sys.executable}\n"
        "import sys, urllib.request, pathlib\n"
        "status = urllib.request.urlopen(sys.argv[1], timeout=10).status\n"
        f"pathlib.Path({str(seen)!r}).write_text(f'{{sys.argv[1]}} {{status}}')\n"
    )
    browser.chmod(0o700)
    here = {"BROWSER": str(browser), "DISPLAY": ":0", "SSH_CONNECTION": ""}
    with demo("--port", "0", "--aws", browser=True, **here) as (site, _):
        deadline = time.monotonic() + 20
        while not seen.exists() or not seen.read_text():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        site.process.send_signal(signal.SIGINT)
        output, _ = site.process.communicate(timeout=20)
    assert seen.read_text() == f"http://localhost:{site.port}/ 200"
    assert "emulator" not in output


@pytest.mark.parametrize(
    ("host", "connection", "display", "opens"),
    [
        ("127.0.0.1", "", ":0", True),
        ("localhost", "", ":0", True),
        ("127.0.0.1", "", "", False),
        ("127.0.0.1", "198.51.100.7 50000 203.0.113.9 22", ":0", False),
        ("0.0.0.0", "", ":0", False),
        ("voice.test", "", ":0", False),
    ],
)
def test_no_browser_is_opened_that_nobody_sees(host, connection, display, opens, monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setenv("SSH_CONNECTION", connection)
    monkeypatch.setenv("DISPLAY", display)
    assert can_open_browser(host) is opens


def test_an_emulator_that_says_nothing_did_not_start():
    with (
        subprocess.Popen([sys.executable, "-c", "print('Cannot.')"], stdout=subprocess.PIPE) as process,
        pytest.raises(click.ClickException, match="did not start"),
    ):
        first_line(process)


def test_ports_are_tried_up_to_the_last(capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", LAST_PORT))
        taken.listen()
        with pytest.raises(click.ClickException, match=f"Port {LAST_PORT} and those after it are taken"):
            listen("127.0.0.1", LAST_PORT)
    assert capsys.readouterr().out == f"Port {LAST_PORT} is taken.\n"


def test_an_address_of_another_machine_is_no_taken_port():
    with pytest.raises(click.ClickException, match=r"Cannot serve on 192\.0\.2\.1 port 8000: Cannot assign"):
        listen("192.0.2.1", 8000)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--app", "nowhere.asgi:application", "--aws"), "Cannot load nowhere.asgi:application"),
        (("--host", "no.such.host.invalid", "--aws"), "Cannot serve on"),
    ],
)
def test_what_cannot_be_served_is_said_in_one_line(options, words):
    command = [sys.executable, "-m", "novasonic", "demo", "--no-browser", "--port", "0", *options]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert run.returncode == 1
    assert words in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize(
    ("host", "connection", "line"),
    [
        ("127.0.0.1", "", None),
        ("localhost", "", None),
        ("127.0.0.1", "198.51.100.7 50000 203.0.113.9 2222", "ssh -p 2222 -L 8000:localhost:8000 "),
        ("0.0.0.0", "", "ssh -L 8000:localhost:8000 "),
    ],
)
def test_the_ssh_line_is_for_those_who_come_over_the_network(host, connection, line, monkeypatch):
    monkeypatch.setenv("SSH_CONNECTION", connection)
    hint = ssh_hint(host, 8000)
    assert hint is None if line is None else line in hint


def test_a_site_answers_to_the_names_it_is_served_on():
    assert host_names("127.0.0.1")[:3] == ["localhost", "127.0.0.1", "[::1]"]
    assert "fd00::1" not in host_names("fd00::1")
    assert "[fd00::1]" in host_names("fd00::1")
    assert socket.gethostname().lower() in host_names("0.0.0.0")
