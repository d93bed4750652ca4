"""Settings: their bounds, and secrets that stay where they are."""

import copy
import dataclasses
import pickle
from datetime import UTC, datetime

import pytest

from novasonic import Buffers, ConfigError, Continuation, Credentials, Limits, Message, NovaSonicError, Timeouts
from novasonic._credentials import credentials_row

KEYS = Credentials("AKIAEXAMPLEKEY", "wJalrXUtnFEMI", "FwoGZXIvYXdzE")


def test_credentials_show_four_characters_of_the_id_and_nothing_else():
    assert repr(KEYS) == "Credentials(AKIA...)"
    assert str(KEYS) == repr(KEYS)
    assert "wJal" not in f"{KEYS!r} {[KEYS]} {dataclasses.replace(KEYS, session_token=None)}"


@pytest.mark.parametrize("how", [pickle.dumps, copy.copy, copy.deepcopy])
def test_credentials_refuse_to_be_copied(how):
    with pytest.raises(TypeError, match="do not pickle or copy"):
        how(KEYS)


@pytest.mark.parametrize(
    "parts",
    [
        ("", "s"),
        ("id", ""),
        ("id", " "),
        (None, "s"),
        ("id", b"s"),
        ("id", "s", ""),
        ("id", "s", None, datetime(2030, 1, 1)),
    ],
)
def test_credentials_must_be_whole(parts):
    with pytest.raises(ConfigError) as refused:
        Credentials(*parts)
    assert refused.value.code == "invalid_credentials"


def test_expiry_travels_as_seconds():
    expires_at = datetime(2030, 1, 1, tzinfo=UTC)
    assert credentials_row(Credentials("id", "s", expires_at=expires_at)) == ("id", "s", None, 1_893_456_000.0)


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), "5", None, True, 30_000_000, 10**400])
@pytest.mark.parametrize(
    ("settings", "field"), [(Buffers, "input"), (Buffers, "output"), (Timeouts, "open"), (Timeouts, "close")]
)
def test_seconds_are_positive_numbers(settings, field, value):
    with pytest.raises(ConfigError, match=f"{settings.__name__}.{field}"):
        settings(**{field: value})


@pytest.mark.parametrize("value", [0, -1, 1.0, True, "8", None, 2**31])
@pytest.mark.parametrize("field", ["attempts", "restarts_per_hour", "history_bytes"])
def test_what_a_continuation_counts_is_a_whole_number(field, value):
    with pytest.raises(ConfigError, match=rf"Continuation\.{field} is {value!r}") as refused:
        Continuation(**{field: value})
    assert refused.value.code == "invalid_continuation"


def test_a_renewal_is_not_forced_before_it_is_due():
    with pytest.raises(ConfigError, match=r"force_after is 60\.0, before renew_after") as refused:
        Continuation(renew_after=90.0, force_after=60.0)
    assert refused.value.code == "invalid_continuation"
    assert Continuation(renew_after=60.0, force_after=60.0).force_after == 60.0


def test_defaults_are_the_documented_ones():
    assert dataclasses.astuple(Buffers()) == (30.0, 120.0)
    assert dataclasses.astuple(Timeouts()) == (15.0, 5.0, 2.5, 10.0, 15.0, 30.0)


@pytest.mark.parametrize(("role", "text"), [("system", "x"), ("USER", "x"), ("user", ""), ("user", None)])
def test_messages_are_of_the_user_or_the_assistant(role, text):
    with pytest.raises(ConfigError) as refused:
        Message(role, text)
    assert refused.value.code == "invalid_history"


def test_messages_do_not_show_what_was_said():
    assert "secret" not in repr(Message("user", "a secret"))


def test_errors_carry_their_fields_and_pickle():
    error = NovaSonicError("It broke.", code="broken", request_id="r-1", retryable=True, cure="Mend it.")
    assert str(error) == "It broke. Mend it."
    again = pickle.loads(pickle.dumps(error))
    assert (again.message, again.code, again.request_id, again.retryable, again.cure) == (
        "It broke.",
        "broken",
        "r-1",
        True,
        "Mend it.",
    )
    assert str(NovaSonicError("It broke.", code="broken")) == "It broke."


@pytest.mark.parametrize("field", ["seconds", "idle_seconds", "tokens", "usd"])
@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), "5", True, 10**400])
def test_limits_are_positive_numbers(field, value):
    with pytest.raises(ConfigError, match=f"Limits.{field}") as refused:
        Limits(**{field: value})
    assert refused.value.code == "invalid_limits"
