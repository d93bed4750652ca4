"""The commands as processes: what they print, what they write, how they end."""

import gc
import json
import os
import signal
import subprocess
import sys
import urllib.request
import wave
from array import array
from pathlib import Path

import pytest

from novasonic.cli.talk import _write
from novasonic.emulator import Emulator
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
        _write(tmp_path / "missing" / "answer.wav", bytes(2), 16_000)
    gc.collect()


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
