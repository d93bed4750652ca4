"""The commands as processes: what they print, what they write, how they end."""

import asyncio
import gc
import json
import math
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
import wave
from array import array
from pathlib import Path

import pytest
from click.testing import CliRunner

import novasonic as sdk
from novasonic.cli import talk
from novasonic.cli.emulator import _LINES_KEPT, _Lines
from novasonic.emulator import Emulator, Fault
from novasonic.emulator.voice.espeak import Speaker, Voice

NOVASONIC = [sys.executable, "-m", "novasonic"]


def novasonic(*arguments, env=None, timeout=60):
    return subprocess.run(
        [*NOVASONIC, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, "COLUMNS": "200", **(env or {})},
        check=False,
    )


@pytest.fixture
def start():
    """Starts a command and stops it at last, so that its files go too, where the test did not."""
    running = []

    def start(*arguments):
        process = subprocess.Popen([*NOVASONIC, *map(str, arguments)], stdout=subprocess.PIPE, text=True)
        running.append(process)
        return process

    yield start
    for process in running:
        process.terminate()
        try:
            process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def environment(told):
    return {
        "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": told["https"],
        "AWS_CA_BUNDLE": told["ca"],
        "AWS_REGION": told["region"],
        "AWS_ACCESS_KEY_ID": told["access_key_id"],
        "AWS_SECRET_ACCESS_KEY": told["secret_access_key"],
    }


def write_wav(path, pcm, rate=16_000, channels=1):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(pcm)
    return path


@pytest.mark.slow
def test_a_recording_is_understood_and_answered_aloud(start, tmp_path):
    emulator = start("emulator", "--json", "--brain", "voice", "--ca-out", tmp_path / "ca.pem")
    told = json.loads(emulator.stdout.readline())
    assert told["ca"] == str(tmp_path / "ca.pem")
    assert told["http"].startswith("http://127.0.0.1:")
    # As a studio would record it.
    mono = array("h", Speaker().speak("Tell me a story", Voice("en-us+f2"), 44_100))
    stereo = array("h", [sample for sample in mono for _ in range(2)])
    question = write_wav(tmp_path / "question.wav", stereo.tobytes(), rate=44_100, channels=2)
    done = novasonic("talk", question, tmp_path / "answer.wav", env=environment(told))
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "user: tell me a story"
    assert lines[1].startswith("assistant: You stand on a cold grey shore")
    assert lines[-1].startswith("assistant: You can say: go to the lighthouse")
    with wave.open(str(tmp_path / "answer.wav")) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (24_000, 1, 2)
        samples = array("h", file.readframes(file.getnframes()))
    assert 8 < len(samples) / 24_000 < 40
    assert (sum(sample * sample for sample in samples) / len(samples)) ** 0.5 > 500
    emulator.send_signal(signal.SIGTERM)
    events = [json.loads(line) for line in emulator.communicate(timeout=10)[0].splitlines()]
    assert emulator.returncode == 0
    # A process that exits may well reset its idle connection, which is noticed and no fault of a stream.
    events = [event for event in events if event["event"] != "notice"]
    assert [(event["event"], event["stream"]) for event in events] == [("opened", 1), ("ended", 1)]
    assert events[1]["reason"] == "clean"
    assert events[1]["output_audio_bytes"] == 2 * len(samples)


def test_the_banner_says_what_it_is_and_how_to_reach_it(start):
    emulator = start("emulator")
    banner = []
    while "Ctrl-C" not in (line := emulator.stdout.readline()):
        assert line, "it ended"
        banner.append(line.strip())
    assert banner[0].startswith("EMULATOR, not AWS: https://127.0.0.1:")
    exported = dict(line.removeprefix("export ").split("=", 1) for line in banner if line.startswith("export "))
    assert (
        exported.keys()
        == environment(dict.fromkeys(["https", "ca", "region", "access_key_id", "secret_access_key"])).keys()
    )
    ca = Path(exported["AWS_CA_BUNDLE"])
    assert ca.exists()
    emulator.send_signal(signal.SIGINT)
    emulator.communicate(timeout=10)
    assert emulator.returncode == 0
    assert not ca.parent.exists()


def test_people_are_told_of_each_stream(start, tmp_path):
    emulator = start("emulator", "--no-auth", "--ca-out", tmp_path / "ca.pem")
    while "Ctrl-C" not in (line := emulator.stdout.readline()):
        if "EMULATOR, not AWS:" in line:
            url = line.split()[3]
    client = sdk.NovaSonic(
        region="us-east-1",
        credentials=sdk.Credentials("AKID", "any"),
        endpoint_url=url,
        ca_bundle=tmp_path / "ca.pem",
    )

    async def visit():
        async with client.connect():
            pass

    asyncio.run(visit())
    assert emulator.stdout.readline().startswith("EMULATOR, not AWS: stream 1 ")
    assert emulator.stdout.readline().startswith("EMULATOR, not AWS: stream 1 ")


def test_programs_are_told_what_befell_no_stream(start):
    emulator = start("emulator", "--json")
    told = json.loads(emulator.stdout.readline())
    host, port = told["https"].rpartition("/")[2].split(":")
    with socket.create_connection((host, int(port)), timeout=10) as peer:
        peer.sendall(b"This is no TLS.\r\n\r\n")
        notice = json.loads(emulator.stdout.readline())
    assert notice["event"] == "notice"
    assert "a connection failed" in notice["message"]


@pytest.mark.slow
def test_a_reader_that_stands_still_holds_up_neither_the_emulator_nor_its_end():
    reads = threading.Event()
    written = []

    class Pipe:
        def write(self, text):
            reads.wait(30)
            written.append(text)

        def flush(self):
            pass

    lines = _Lines(Pipe())
    try:
        for number in range(2 * _LINES_KEPT):
            lines.put(str(number))
        # Bounded: nobody has read, and nobody will.
        lines.close()
        assert written == []
    finally:
        reads.set()
    # Its end finds room once the writer has taken a line.
    while lines._thread.is_alive():
        lines.close()
    kept = [text for text in written if text != "\n"]
    # What was first said is kept; at most one line more than the queue holds was in the writer's hand.
    assert kept[:_LINES_KEPT] == [str(number) for number in range(_LINES_KEPT)]
    assert len(kept) <= _LINES_KEPT + 1


def test_a_reader_that_went_away_does_not_end_the_emulator(start):
    emulator = start("emulator", "--json", "--no-auth")
    told = json.loads(emulator.stdout.readline())
    emulator.stdout.close()
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", "import asyncio, novasonic\nasync def main():\n"
             "    async with novasonic.NovaSonic().connect(): pass\nasyncio.run(main())"],
            env={**os.environ, **environment({**told, "secret_access_key": "any"})},
            timeout=30,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0
    emulator.send_signal(signal.SIGTERM)
    assert emulator.wait(timeout=10) == 0
    emulator.stdout = None


def test_a_taken_port_is_named_with_the_way_out():
    with Emulator() as other:
        port = other.url.rpartition(":")[2]
        done = novasonic("emulator", "--port", port)
    assert done.returncode == 1
    assert f"cannot bind 127.0.0.1:{port}" in done.stderr
    assert "--port" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["emulator", "--host", "0.0.0.0"], 1, "--allow-remote"),
        (["emulator", "--brain", "genius"], 1, "No brain is called 'genius'"),
        (["emulator", "--brain", "script:no-such.toml"], 1, "no-such.toml"),
        (["emulator", "--ca-out", "/no/such/folder/ca.pem"], 1, "/no/such/folder"),
        (["emulator", "--port", "70000"], 2, "--port"),
        (["emulator", "--speed", "0"], 2, "--speed"),
        (["emulator", "--headers", "never"], 2, "--headers"),
        (["talk"], 2, "IN.wav"),
        (["talk", "no-such.wav"], 2, "no-such.wav"),
        (["dance"], 2, "dance"),
    ],
)
def test_mistakes_are_told_from_wrong_usage(arguments, code, said):
    done = novasonic(*arguments)
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_what_is_no_recording_is_refused(tmp_path):
    path = tmp_path / "song.mp3"
    path.write_bytes(b"ID3 and so on")
    done = novasonic("talk", path)
    assert done.returncode == 1
    assert "song.mp3 is not a WAV file" in done.stderr
    assert "ffmpeg" in done.stderr


def test_an_answer_that_cannot_be_written_is_an_error_and_no_more(tmp_path):
    with pytest.raises(FileNotFoundError):
        talk._write(tmp_path / "missing" / "answer.wav", bytes(2), 16_000)
    gc.collect()


def tone(seconds):
    return array("h", (int(12_000 * math.sin(n / 8)) for n in range(int(16_000 * seconds)))).tobytes()


def silence(seconds):
    return bytes(int(32_000 * seconds))


@pytest.fixture
def say():
    """Runs `novasonic talk` in this process, against an emulator."""

    def say(emulator, *arguments):
        told = {
            "https": emulator.url,
            "ca": emulator.ca_bundle,
            "region": "us-east-1",
            "access_key_id": emulator.credentials.access_key_id,
            "secret_access_key": emulator.credentials.secret_access_key,
        }
        return CliRunner().invoke(talk.talk, [str(argument) for argument in arguments], env=environment(told))

    return say


@pytest.mark.slow
def test_silence_gets_no_answer_and_that_is_an_error(say, tmp_path, monkeypatch):
    monkeypatch.setattr(talk, "_NO_ANSWER_SECONDS", 1.0)
    question, answer = write_wav(tmp_path / "question.wav", silence(0.5)), tmp_path / "answer.wav"
    with Emulator() as emulator:
        done = say(emulator, question, answer)
    assert done.exit_code == 1
    assert "No answer came within 1 s of the recording's end. Is there speech in" in done.stderr
    assert not answer.exists()


@pytest.mark.slow
def test_an_answer_that_was_talked_over_is_marked(say, tmp_path):
    answers = [("Yes?", silence(0.3)), ("Once upon a time.", silence(45))]

    async def brain(turn):
        await turn.heard("(something)")
        await turn.say(*answers.pop())

    question = write_wav(tmp_path / "question.wav", tone(1) + silence(2.5) + tone(1))
    with Emulator(brain) as emulator:
        done = say(emulator, question)
    assert done.exit_code == 0, done.stderr
    before, marked, after = done.stdout.partition("(interrupted)\n")
    assert marked
    assert "Yes?" not in before
    assert "Yes?" in after
    assert "(interrupted)" not in after


@pytest.mark.slow
def test_what_was_said_before_an_error_is_kept(say, tmp_path):
    question, answer = write_wav(tmp_path / "question.wav", tone(2)), tmp_path / "answer.wav"
    fault = Fault.exception("validationException", "Enough of this.", after_output=30)
    with Emulator("echo", faults=[fault]) as emulator:
        done = say(emulator, question, answer)
    assert done.exit_code == 1
    assert "Enough of this." in done.stderr
    with wave.open(str(answer)) as file:
        assert 0.1 < file.getnframes() / file.getframerate() < 2
        assert done.stderr.startswith(f"{answer}: ")


def test_the_question_is_not_overwritten_by_the_answer(tmp_path):
    path = write_wav(tmp_path / "question.wav", bytes(3_200))
    before = path.read_bytes()
    assert novasonic("talk", path, path).returncode == 2
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "x", "AWS_REGION": "us-east-1"}, "No connection"),
        ({"AWS_REGION": "us-east-1"}, "credentials"),
    ],
)
def test_errors_of_the_client_come_with_their_cure(tmp_path, env, said):
    path = write_wav(tmp_path / "question.wav", bytes(3_200))
    done = novasonic("talk", path, "--endpoint-url", "http://127.0.0.1:1", env=env)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_help_needs_no_extra_but_its_own():
    done = novasonic("--help")
    assert done.returncode == 0
    for command in ("demo", "emulator", "talk"):
        assert f"  {command} " in done.stdout


def without(*packages):
    """Code that runs the command line as if these packages were not installed."""
    return (
        "import sys\n"
        f"for name in {packages!r}: sys.modules[name] = None\n"
        "sys.argv = ['novasonic', *sys.argv[1:]]\n"
        "from novasonic.cli import main\nmain()"
    )


@pytest.mark.parametrize(
    ("package", "arguments", "said"),
    [
        ("click", ["talk", "--help"], 'pip install "novasonic[cli]"'),
        ("rich", ["--help"], 'pip install "novasonic[cli]"'),
        ("django", ["demo"], 'novasonic demo needs django: pip install "novasonic[demo]"'),
        ("uvicorn", ["demo", "--help"], 'pip install "novasonic[demo]"'),
        ("websockets", ["demo"], 'pip install "novasonic[demo]"'),
    ],
)
def test_a_missing_extra_is_one_line(package, arguments, said):
    done = subprocess.run(
        [sys.executable, "-c", without(package), *arguments], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 1
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_scenarios_are_listed_and_can_be_played(start):
    listed = novasonic("emulator", "--list-scenarios")
    assert listed.returncode == 0, listed.stderr
    assert any(line.startswith("tool-double-encoded ") for line in listed.stdout.splitlines())
    told = json.loads(start("emulator", "--json", "--brain", "scenario:tool").stdout.readline())
    assert told["https"].startswith("https://")
    unknown = novasonic("emulator", "--brain", "scenario:tools")
    assert unknown.returncode == 1
    assert "No scenario is called 'tools'" in unknown.stderr


def test_faults_are_flags_and_can_be_set_while_it_runs(start):
    emulator = start("emulator", "--json", "--fault", "throttle times=1", "--fault", '{"kind": "fin", "stream": 2}')
    told = json.loads(emulator.stdout.readline())
    request = urllib.request.Request(
        f"{told['control_url']}/faults", headers={"Authorization": f"Bearer {told['control_token']}"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert [each["fault"] for each in json.load(answer)["faults"]] == ["refuse", "fin"]


def test_a_fault_that_means_nothing_is_told():
    done = novasonic("emulator", "--fault", "fin cod=3")
    assert done.returncode == 1
    assert "cod" in done.stderr
    assert "Traceback" not in done.stderr
