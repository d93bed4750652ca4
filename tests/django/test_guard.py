"""How much a page may send, with the clock in hand; no server, no Django."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from novasonic.contrib.asgi import wire
from novasonic.contrib.asgi.guard import MIN_FRAME_SECONDS, Bucket, PageCaps, PageGuard
from novasonic.contrib.asgi.wire import CloseCode

RATE = 16_000
CAPS = PageCaps()


def binary(seconds):
    return bytes(round(seconds * RATE) * 2)


def chunk(seconds):
    return wire.AudioChunk(binary(seconds), is_complete=False)


def talk(guard, seconds, *, pace, start=0.0, frame=0.032, make=binary):
    """Send `seconds` of audio at `pace` times real time; return how much was taken and when that was over."""
    taken, now = 0, start
    for _ in range(round(seconds / frame)):
        taken += guard.takes(make(frame), now)
        now += frame / pace
    return taken * frame, now


@pytest.mark.parametrize("frame", [0.01, 0.02, 0.032, 0.256, 1.0])
@pytest.mark.parametrize("pace", [1.0, 1.01, 1.25])
def test_a_microphone_may_talk_for_an_hour(pace, frame):
    guard = PageGuard(RATE)
    taken, _ = talk(guard, 3_600, pace=pace, frame=frame)
    assert taken == pytest.approx(3_600, rel=1e-3)
    assert guard.refused_frames == 0
    assert guard.report(3_600.0) == []


def test_the_frames_of_older_clients_are_taken_live():
    guard = PageGuard(RATE)
    for number in range(1_000):
        assert guard.takes(bytes(4_096 * 2), number * 4_096 / RATE)


def test_what_a_stalled_network_held_back_comes_at_once():
    guard = PageGuard(RATE)
    _, now = talk(guard, 10, pace=1.0)
    # For 2.9 s nothing came; then all of it.
    taken, now = talk(guard, 2.9, pace=math.inf, start=now + 2.9)
    assert taken == pytest.approx(2.9, abs=0.04)
    assert talk(guard, 60, pace=1.0, start=now)[0] == pytest.approx(60, abs=0.04)
    assert guard.refused_frames == 0


def test_three_seconds_come_at_once_and_then_a_quarter_more_than_real_time():
    guard = PageGuard(RATE)
    assert [guard.takes(binary(1), 0.0) for _ in range(4)] == [True, True, True, False]
    assert guard.takes(binary(1), 0.79) is False
    assert guard.takes(binary(1), 0.80) is True
    assert guard.refused_frames == 2


def test_a_page_at_twice_the_pace_is_told_and_then_closed():
    guard = PageGuard(RATE)
    with pytest.raises(wire.WireError) as caught:
        talk(guard, 3_600, pace=2.0)
    assert (caught.value.code, caught.value.close) == ("too_fast", CloseCode.TOO_MANY)
    assert guard.refused_frames > 900
    (told,) = guard.report(100.0)
    assert (told["code"], told["refusedFrames"]) == ("audio_refused", guard.refused_frames)


def test_a_clock_that_runs_too_fast_loses_audio_but_not_the_conversation():
    guard = PageGuard(RATE)
    taken, _ = talk(guard, 3_600, pace=1.35)
    assert taken < 3_400
    assert guard.refused_frames


def test_a_recording_of_half_a_minute_comes_whole():
    guard = PageGuard(RATE)
    frame = 4_096 / RATE
    assert talk(guard, 29.9, pace=math.inf, frame=frame, make=chunk)[0] == pytest.approx(29.9, abs=frame)
    assert guard.takes(wire.AudioChunk(b"", is_complete=True), 0.1)
    # It takes as long to be heard: what comes on top of it waits for nothing but that.
    assert not guard.takes(chunk(1), 0.1)
    assert guard.takes(chunk(29), 25.0)


def test_a_recording_that_is_too_long_loses_its_end_and_the_page_is_told():
    guard = PageGuard(RATE)
    assert talk(guard, 50, pace=math.inf, frame=1.0, make=chunk)[0] == 30
    assert guard.refused_frames == 20
    assert guard.report(0.0)[0]["refusedFrames"] == 20


@given(st.lists(st.tuples(st.floats(0, 5), st.floats(0, 1), st.sampled_from([binary, chunk])), min_size=1, max_size=60))
def test_no_mixture_of_frames_is_faster_than_the_cap(steps):
    guard = PageGuard(RATE, PageCaps(excess_audio_seconds=math.inf))
    now, taken, refused = 0.0, 0.0, 0
    for pause, seconds, make in steps:
        now += pause
        if guard.takes(make(seconds), now):
            taken += max(round(seconds * RATE) / RATE, MIN_FRAME_SECONDS)
        else:
            refused += 1
        assert taken <= CAPS.recording_seconds + CAPS.audio_rate * now + 1e-6
    assert guard.refused_frames == refused


def test_single_samples_are_no_way_around():
    guard = PageGuard(RATE)
    taken = sum(guard.takes(b"\0\0", 0.0) for _ in range(5_000))
    assert taken == CAPS.audio_burst_seconds / MIN_FRAME_SECONDS
    with pytest.raises(wire.WireError, match="audio"):
        sum(guard.takes(b"", 0.0) for _ in range(20_000))


@pytest.mark.parametrize(
    "message",
    [
        wire.Initialize(),
        wire.TextMessage("Hello", None),
        wire.Interrupt(),
        wire.Mute(muted=True),
        wire.ToolApproval("t1", approve=True),
    ],
)
def test_messages_come_twenty_a_second_after_a_burst(message):
    guard = PageGuard(RATE)
    assert sum(guard.takes(message, 0.0) for _ in range(70)) == 60
    assert sum(guard.takes(message, 1.0) for _ in range(70)) == 20
    assert guard.refused_messages == 60
    (told,) = guard.report(1.0)
    assert (told["code"], told["refusedMessages"], told["fatal"]) == ("too_fast", 60, False)
    with pytest.raises(wire.WireError) as caught:
        sum(guard.takes(message, 1.0) for _ in range(70))
    assert (caught.value.code, caught.value.close) == ("too_fast", CloseCode.TOO_MANY)


def test_played_has_a_cap_of_its_own():
    guard = PageGuard(RATE)
    for quarter in range(4_000):
        assert guard.takes(wire.Played(1, quarter * 250), quarter / 4)
    now = 1_000.0
    assert sum(guard.takes(wire.Played(1, 1), now) for _ in range(80)) == 60
    # Nothing of that counts against what the user types.
    assert guard.takes(wire.TextMessage("Hello", None), now)


def test_whoever_floods_may_still_close():
    guard = PageGuard(RATE)
    for _ in range(150):
        guard.takes(wire.Interrupt(), 0.0)
    assert guard.takes(wire.Close(), 0.0)


def test_the_page_is_told_once_a_second_at_most_and_of_everything_in_the_end():
    guard = PageGuard(RATE)
    told = []
    for hundredth in range(500):
        now = hundredth / 100
        guard.takes(binary(0.05), now)
        told += guard.report(now)
    told += guard.report(10.0)
    assert 2 <= len(told) <= 6
    assert told[-1]["refusedFrames"] == guard.refused_frames
    assert guard.report(20.0) == []


def test_what_the_session_did_not_take_is_told_and_costs_nothing():
    guard = PageGuard(RATE)
    for _ in range(10_000):
        guard.session_refused()
    assert guard.report(0.0)[0]["refusedFrames"] == 10_000
    assert guard.takes(binary(1), 0.0)


def test_twenty_mistakes_are_forgiven_and_one_more_each_minute():
    guard = PageGuard(RATE)
    mistake = wire.WireError("bad_field", "x")
    assert all(guard.mistake(mistake, 0.0) is mistake for _ in range(20))
    last = guard.mistake(mistake, 0.0)
    assert (last.code, last.close) == ("too_many_bad_messages", CloseCode.BAD_MESSAGE)
    assert guard.mistake(mistake, 61.0) is mistake


def test_a_mistake_that_closes_anyway_keeps_its_own_words():
    guard = PageGuard(RATE)
    fatal = wire.WireError("bad_json", "x", close=CloseCode.BAD_MESSAGE)
    assert all(guard.mistake(fatal, 0.0) is fatal for _ in range(50))


@given(
    st.floats(0.1, 50),
    st.floats(1, 100),
    st.lists(st.tuples(st.floats(-1, 10), st.floats(0, 5)), min_size=1, max_size=80),
)
def test_a_bucket_never_gives_more_than_its_height_and_its_rate(rate, height, steps):
    bucket, now, latest, taken = Bucket(rate), 0.0, 0.0, 0.0
    for pause, amount in steps:
        now += pause  # backwards too: nothing comes of that
        latest = max(latest, now)
        before = bucket.level
        if bucket.pour(amount, now, height):
            taken += amount
        else:
            assert bucket.level <= before
        assert -1e-6 <= bucket.level <= height + 1e-6
        assert taken <= height + rate * latest + 1e-6
