import asyncio
import gc
import os
import ssl
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import novasonic
from novasonic.emulator import Emulator, Fault


async def test_a_conversation_over_both_doors(until):
    async with Emulator() as emulator:
        for http in (False, True):
            async with emulator.client(http=http).connect() as session:
                await session.send_text("Hello.")
                events = await until(session, lambda event: isinstance(event, novasonic.TurnEnded))
                assert any(isinstance(event, novasonic.AudioOutput) for event in events)
    reports = emulator.streams
    assert [report.stream_id for report in reports] == [1, 2]
    assert {report.ended for report in reports} == {"clean"}
    assert reports[0].events[0] == "sessionStart"
    assert reports[0].region == "us-east-1"
    assert reports[0].output_audio_bytes > 0


def test_plain_with_runs_a_loop_of_its_own():
    said = []

    async def brain(turn):
        said.append(turn.text)
        await turn.say("Yes.")

    async def talk(client):
        async with client.connect() as session:
            await session.send_text("Is anybody there?")
            async for event in session:
                if isinstance(event, novasonic.TurnEnded):
                    return

    with Emulator(brain) as emulator:
        asyncio.run(talk(emulator.client()))
    assert said == ["Is anybody there?"]


def test_the_certificate_is_a_file_while_it_runs():
    with Emulator() as emulator:
        path = Path(emulator.ca_bundle)
        assert path.read_text() == emulator.ca_pem
        assert path.parent.stat().st_mode & 0o077 == 0
        ssl.create_default_context(cafile=path)
        assert emulator.url.startswith("https://127.0.0.1:")
    assert not path.parent.exists()
    emulator.stop()


async def test_an_error_in_the_body_still_stops_it():
    with pytest.raises(ZeroDivisionError):
        async with Emulator() as emulator:
            raise ZeroDivisionError
    assert repr(emulator) == "<novasonic.emulator.Emulator stopped>"
    await emulator.aclose()


def test_it_cannot_be_used_before_it_starts_or_started_twice():
    emulator = Emulator()
    with pytest.raises(novasonic.ConfigError, match="not started"):
        _ = emulator.url
    with emulator:
        pass
    with pytest.raises(novasonic.ConfigError, match="started before"), emulator:
        pass


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"brain": "genius"}, "No brain is called 'genius'"),
        ({"brain": 7}, "brain is a int"),
        ({"brain": "script:"}, "No brain"),
        ({"port": 70_000}, "port is 70000"),
        ({"http_port": -1}, "http_port is -1"),
        ({"host": "localhost"}, "no IP address"),
        ({"host": "0.0.0.0"}, "allow_remote"),
        ({"san": "example.com"}, "not a list"),
        ({"speed": 0.0}, "speed"),
        ({"headers": "never"}, "headers"),
        ({"idle_limit": -1.0}, "idle_limit"),
        ({"stream_limit": float("nan")}, "stream_limit"),
        ({"max_streams": -1}, "cannot start"),
        ({"faults": [Fault.refuse(70_000, "A", "b")]}, "HTTP status"),
        ({"faults": [Fault.refuse(400, "A", "b", after_input=9)]}, "impossible"),
    ],
)
def test_a_wrong_setting_is_named(settings, said):
    with pytest.raises(novasonic.ConfigError, match=said), Emulator(**settings):
        pass


def test_a_taken_port_is_an_oserror_that_names_it():
    with Emulator() as first:
        port = int(first.url.rpartition(":")[2])
        with pytest.raises(OSError, match=f"127.0.0.1:{port}: Address already in use"), Emulator(port=port):
            pass


def test_a_missing_script_is_an_oserror(tmp_path):
    with pytest.raises(OSError, match="no-such"), Emulator(f"script:{tmp_path / 'no-such.toml'}"):
        pass


async def test_other_keys_are_refused_unless_nothing_is_verified():
    keys = novasonic.Credentials("AKIDSOMEBODYELSE0000", "not the emulator's")

    def client(emulator):
        return novasonic.NovaSonic(
            region="eu-north-1", credentials=keys, endpoint_url=emulator.url, ca_bundle=emulator.ca_bundle
        )

    async with Emulator() as emulator:
        with pytest.raises(novasonic.AccessDeniedError):
            await client(emulator).connect()
    async with Emulator(verify=False) as emulator, client(emulator).connect():
        assert emulator.streams[0].region == "eu-north-1"
    async with Emulator(credentials=keys) as emulator, client(emulator).connect():
        assert emulator.streams[0].access_key_id == keys.access_key_id


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.refuse(429, "ThrottlingException", "Too many."), novasonic.ThrottledError),
        (Fault.exception("modelStreamErrorException", "Broken.", after_input=4), novasonic.ServiceError),
        (Fault.rst_stream(after_input=4), novasonic.StreamLostError),
        (Fault.fin(after_input=4), novasonic.StreamLostError),
        (Fault.end_stream(after_input=4), novasonic.StreamLostError),
    ],
)
async def test_faults_reach_the_client_as_its_own_errors(fault, error):
    async def talk(client):
        async with client.connect(continuation=None) as session:
            session.feed(bytes(16_000))
            async for _ in session:
                pass

    async with Emulator("echo", faults=[fault]) as emulator:
        with pytest.raises(error):
            await talk(emulator.client())


async def test_an_idle_stream_is_ended():
    async def listen(client):
        async with client.connect(continuation=None) as session:
            async for _ in session:
                pass

    async with Emulator(idle_limit=0.2) as emulator:
        with pytest.raises(novasonic.StreamLostError, match="Timed out waiting for audio"):
            await listen(emulator.client())


async def test_each_session_is_logged_as_not_aws(caplog):
    lines = []
    caplog.set_level("INFO", "novasonic.emulator")
    async with Emulator(on_log=lines.append) as emulator, emulator.client().connect():
        pass
    assert len(lines) == 2
    assert all(line.startswith("EMULATOR, not AWS: stream 1 ") for line in lines)
    assert [record.getMessage() for record in caplog.records if record.name == "novasonic.emulator"] == lines


def test_one_that_nobody_stopped_says_so_and_lets_go():
    emulator = Emulator().__enter__()
    directory = Path(emulator.ca_bundle).parent
    with pytest.warns(ResourceWarning, match="never stopped"):  # noqa: PT031 - both are one act
        del emulator
        gc.collect()
    assert not directory.exists()


def run(code, **options):
    return subprocess.run(
        [sys.executable, "-X", "dev", "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        **options,
    )


def test_a_program_that_exits_without_stopping_it_exits_well(tmp_path):
    done = run(
        """
        from novasonic.emulator import Emulator
        async def brain(turn): pass
        emulator = Emulator(brain).__enter__()
        """,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_fork_leaves_its_parents_emulator_alone():
    done = run(
        """
        import os, sys
        import novasonic
        from novasonic.emulator import Emulator
        with Emulator() as emulator:
            child = os.fork()
            if not child:
                try:
                    emulator.url
                except novasonic.ForkError:
                    emulator.stop()
                    sys.exit(7)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
            assert os.path.exists(emulator.ca_bundle)
            assert emulator.streams == ()
        """
    )
    assert done.returncode == 0, done.stderr


def test_importing_it_imports_no_extra():
    done = run(
        """
        import sys
        from novasonic.emulator.voice import phrases
        assert "tell me a story" in phrases()
        print(sorted({"pocketsphinx", "espeakng_loader", "click", "rich"} & set(sys.modules)))
        """
    )
    assert done.stdout == "[]\n", done.stderr


async def test_a_turn_that_was_over_before_its_brain_heard_of_it_is_never_told():
    async def brain(turn):
        raise AssertionError("told")

    async with Emulator(brain) as emulator:
        core = emulator._core
        async with emulator.client().connect() as session:
            # As if the loop were too busy to look.
            asyncio.get_running_loop().remove_reader(core.fd)
            for text in ("First.", "Second.", "Third."):
                await session.send_text(text)
        core.stop()
        assert core.drain(100)[0] == []
    assert emulator.streams[0].events.count("textInput") == 3
