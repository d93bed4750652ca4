"""Faults as Python programs ask for them; what each does on the wire is tested in tests/rust/emulator_faults.rs."""

import asyncio
import inspect
import json
import time
from pathlib import Path

import pytest
from rawsupport import audio, closing, name_of, opening

import novasonic
from novasonic.emulator import Emulator, Fault

PCM = bytes(range(200)) * 16


async def talk(client, *, turns=1):
    """Echoes by hand: a session would tell what began as ended, however it did."""
    async with client.open_stream() as stream:
        said = aiter(stream)
        for event in opening():
            await stream.send(event)
        for _ in range(turns):
            await stream.send(audio(PCM))
            while name_of(await anext(said)) != "audioOutput":
                pass
        for event in closing():
            await stream.send(event)
        await stream.end_input()
        async for _ in said:
            pass


def spell(fault):
    """The command line's words for it."""
    words = [f"{key}={json.dumps(value).strip(chr(34))}" for key, value in fault.to_dict().items() if key != "kind"]
    return " ".join([fault.kind, *words])


EVERY_KIND = [
    Fault.refuse(403, "AccessDeniedException", "No."),
    Fault.throttle(times=3),
    Fault.quota(2, account="anna"),
    Fault.skew(-400),
    Fault.refuse_connection("silent", times=1),
    Fault.no_headers(),
    Fault.rst_stream("CANCEL", after_input=3, counting="contentEnd"),
    Fault.tcp_reset(after_output=3, stream=2),
    Fault.fin(after_headers=True),
    Fault.goaway(0, hard=True, after_output=3, counting="non-audio"),
    Fault.end_stream(),
    Fault.exception("modelTimeoutException", "Late."),
    Fault.error("Strange", "Oh."),
    Fault.stall("connection", reading=True, account=""),
    Fault.truncated(),
    Fault.bad_crc(),
    Fault.junk("base64"),
    Fault.event("news", {"a": [1, {"b": None}]}),
    Fault.unknown_frame(),
    Fault.big_event(),
    Fault.tiny_frames(),
    Fault.drip(1000),
    Fault.duplicate(2),
]


def test_every_kind_is_taken_and_listed_here():
    makers = {name for name, method in inspect.getmembers(Fault, inspect.ismethod) if name != "parse"}
    assert makers == {fault.kind for fault in EVERY_KIND}
    with Emulator(faults=EVERY_KIND) as emulator:
        emulator.add_faults(*EVERY_KIND)


@pytest.mark.parametrize(
    "fault", [fault for fault in EVERY_KIND if not fault.fields and " " not in (fault.message or "")]
)
def test_the_command_line_spells_them_too(fault):
    assert Fault.parse(spell(fault)).to_dict() == fault.to_dict()


def test_the_page_lists_every_kind_and_its_spellings_agree():
    page = Path(__file__).parents[2] / "docs" / "reference" / "emulator-faults.md"
    listed = set()
    for line in page.read_text().splitlines():
        cells = [cell.strip().strip("`") for cell in line.split(" | ")]
        if len(cells) == 5 and cells[2].startswith("Fault."):
            written = eval(cells[2], {"Fault": Fault})
            assert Fault.parse(cells[3]) == written
            assert Fault.parse(cells[4].removesuffix("` |")) == written
            listed.add(written.kind)
    assert listed == {fault.kind for fault in EVERY_KIND}


def test_a_fault_is_read_from_words_or_json():
    assert Fault.parse("exception name=validationException message='Not now.' after_output=3") == Fault.exception(
        "validationException", "Not now.", after_output=3
    )
    assert Fault.parse('{"kind": "event", "name": "x", "fields": {"a": 1}}') == Fault.event("x", {"a": 1})
    assert Fault.parse("fin account=7").account == "7"


@pytest.mark.parametrize("text", ["", "fin after", "fin cod=3", '{"kind"', '{"after_input": 3}', "fin 'x"])
def test_a_fault_that_cannot_be_read_says_so(text):
    with pytest.raises(novasonic.ConfigError) as caught, Emulator(faults=[Fault.parse(text)]):
        pass
    assert caught.value.code in {"invalid_fault", "invalid_emulator"}


async def test_each_account_has_its_own_faults_side_by_side():
    faults = [Fault.tcp_reset(after_output=count, account=f"c{count}") for count in range(1, 5)]
    async with Emulator("echo", faults=faults) as emulator:
        clients = [emulator.client(account=f"c{count}") for count in range(6)]
        ends = await asyncio.gather(*map(talk, clients), return_exceptions=True)
        assert [type(end) for end in ends] == [type(None), *[novasonic.StreamLostError] * 4, type(None)]
        for report in emulator.streams:
            count = int(report.account.removeprefix("c"))
            assert report.number == 1
            assert report.faults == ((f"tcp_reset after output {count}",) if 1 <= count <= 4 else ())
            if report.faults:
                assert sum(report.outputs.values()) == count
                assert 0 <= report.fault_at - report.opened_at < 10


async def test_a_throttle_lets_the_next_one_in():
    async with Emulator("echo", faults=[Fault.throttle(times=2)]) as emulator:
        for _ in range(2):
            with pytest.raises(novasonic.ThrottledError):
                await talk(emulator.client())
        await talk(emulator.client())


async def test_live_streams_break_on_command(eventually):
    async with Emulator("echo") as emulator:
        broken = asyncio.create_task(talk(emulator.client(account="anna"), turns=1000))
        whole = asyncio.create_task(talk(emulator.client(), turns=3))
        await eventually(lambda: [bool(report.outputs) for report in emulator.streams] == [True, True])
        before = time.time()
        assert emulator.commit(Fault.tcp_reset(account="anna")) == 1
        with pytest.raises(novasonic.StreamLostError):
            await broken
        await whole
        (report,) = [report for report in emulator.streams if report.account == "anna"]
        assert before <= report.fault_at <= time.time()


async def test_faults_are_added_and_cleared():
    async with Emulator("echo") as emulator:
        emulator.add_faults(Fault.refuse(403, "AccessDeniedException", "No."))
        with pytest.raises(novasonic.AccessDeniedError):
            await talk(emulator.client())
        emulator.clear_faults()
        await talk(emulator.client())
        for wrong in (Fault("quake"), Fault.refuse(403, "A", "b", after_output=3)):
            with pytest.raises(novasonic.ConfigError) as caught:
                emulator.add_faults(wrong)
            assert caught.value.code == "invalid_fault"
        with pytest.raises(novasonic.ConfigError, match="no place"):
            emulator.commit(Fault.fin(after_input=3))


async def test_a_recording_holds_what_one_stream_sent():
    heard = []

    async def brain(turn):
        heard.append((turn.stream_id, turn.account))
        await turn.call("look", {})
        await turn.say("Yes.")

    @novasonic.tool
    def look() -> dict:
        """Look."""
        return {"seen": 3}

    history = [novasonic.Message("user", "Hello."), novasonic.Message("assistant", "Hello!")]
    async with Emulator(brain, record=True) as emulator:
        client = emulator.client(account="anna")
        async with client.connect(system="Be kind.", history=history, tools=[look]) as session:
            await session.send_audio(PCM)
            await session.send_text("What is there?")
            async for event in session:
                if isinstance(event, novasonic.TurnEnded):
                    break
        kept = emulator.recording(1)
        assert emulator.recording(2) is None
    assert heard == [(1, "anna")]
    # The client primes the model with silence of its own, before and after.
    assert PCM in kept.pcm
    assert kept.system == "Be kind."
    assert list(kept.history) == history
    assert kept.typed == ("What is there?",)
    assert [content for _, content in kept.tool_results] == ['{"seen":3}']
    assert not kept.truncated
    assert "kind" not in repr(kept)


@pytest.mark.parametrize("name", ["a/b", "a b", "ä", "a,b"])
def test_an_account_has_a_name_that_a_signature_can_hold(name):
    with pytest.raises(novasonic.ConfigError, match="something other"):
        Emulator().account(name)
