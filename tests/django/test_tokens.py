"""Resume tokens, and one-time tickets."""

import time
import uuid

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.core import signing
from django.test import override_settings
from services import redis_server
from workersupport import Talker, say

from novasonic.contrib.django.tickets import issue_ticket, redeem_ticket
from novasonic.contrib.django.workers import tokens
from novasonic.contrib.django.workers.tokens import TokenError

ID = uuid.uuid4()


class User:
    """What a token is bound to, without a database."""

    def __init__(self, auth="of a password", older=()):
        self.auth = auth
        self.older = older

    def get_session_auth_hash(self):
        return self.auth

    def get_session_auth_fallback_hash(self):
        yield from self.older


def issue(owner="7", user=None, generation=3):
    return tokens.issue(ID, generation, owner=owner, user=user or User())


def verify(token, owner="7", user=None, seconds=120.0):
    return tokens.verify(token, owner=owner, user=user or User(), seconds=seconds)


def test_a_token_names_its_conversation_and_generation_to_its_owner():
    said = verify(issue())
    assert (said.conversation_id, said.generation) == (ID, 3)


@pytest.mark.parametrize(
    "owner_and_user",
    [("8", User()), (None, User()), ("", User()), ("7", User("of another password"))],
    ids=["another owner", "nobody", "an empty owner", "another password"],
)
def test_a_token_is_nothing_in_other_hands(owner_and_user):
    with pytest.raises(TokenError):
        verify(issue(), *owner_and_user)


def test_owner_and_password_are_not_run_together():
    with pytest.raises(TokenError):
        verify(issue(owner="7", user=User("1|x")), owner="7|1", user=User("x"))


def test_a_token_outlives_the_rotation_of_the_secret_key():
    assert verify(issue(user=User("by the old key")), user=User("by the new key", older=["by the old key"]))
    token = issue()
    with override_settings(SECRET_KEY="another", SECRET_KEY_FALLBACKS=["for tests"]):
        assert verify(token)
    with override_settings(SECRET_KEY="another"), pytest.raises(TokenError):
        verify(token)


@pytest.mark.parametrize("at", [0, 10, -10, -1])
def test_a_token_of_which_one_letter_was_changed_is_nothing(at):
    token = issue()
    letter = "A" if token[at] != "A" else "Q"
    forged = token[:at] + letter + token[at + 1 :] if at != -1 else token[:-1] + letter
    if forged[:-1] == token[:-1]:  # the last letter holds bits that base64 does not use
        forged = token[:-2] + ("A" if token[-2] != "A" else "Q") + token[-1]
    with pytest.raises(TokenError):
        verify(forged)


@pytest.mark.parametrize(
    "token",
    [
        "",
        ":",
        "a:b:c",
        "x" * 100_000,
        signing.dumps({"c": ID.hex, "g": 3}),
        signing.dumps({}, salt="novasonic.contrib.django.workers.resume"),
        signing.dumps([], salt="novasonic.contrib.django.workers.resume"),
        signing.dumps({"c": "no id", "g": 3, "b": ""}, salt="novasonic.contrib.django.workers.resume"),
    ],
)
def test_what_is_no_token_of_ours_is_refused_without_a_fuss(token):
    with pytest.raises(TokenError):
        verify(token)


def test_a_token_runs_out(monkeypatch):
    token = issue()
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 119)
    assert verify(token)
    monkeypatch.setattr(time, "time", lambda: now + 122)
    with pytest.raises(TokenError):
        verify(token)


def test_a_token_shows_neither_the_owner_nor_the_hash_of_the_session():
    payload = signing.loads(issue(owner="somebody@example.org"), salt="novasonic.contrib.django.workers.resume")
    assert payload.keys() == {"c", "g", "b"}
    assert "somebody" not in str(payload)
    assert "password" not in str(payload)


@pytest.fixture
def person(transactional_db):
    return get_user_model().objects.create_user("ann", password="secret")


@pytest.fixture(scope="module")
def redis():
    with redis_server() as redis:
        yield redis


@pytest.fixture(params=["cache", "redis"])
def store(request):
    """Where spent tickets are remembered."""
    where = {"REDIS_URL": request.getfixturevalue("redis").url} if request.param == "redis" else {}
    with override_settings(NOVASONIC=where):
        yield


async def test_a_ticket_lets_its_user_in_once(person, store):
    ticket = issue_ticket(person)
    assert await redeem_ticket(ticket) == person
    assert await redeem_ticket(ticket) is None


async def test_the_stock_consumer_takes_tickets_and_tells_tools_whose(person, store, open_page, parrot, use_emulator):
    use_emulator(parrot)
    users = []

    class Ticketed(Talker):
        tickets = True

        async def get_tools(self):
            users.append(self.get_context()["user"])
            return ()

    first = {"type": "initialize", "ticket": issue_ticket(person)}
    async with open_page(Ticketed, user=AnonymousUser(), origin=None) as page:
        await page.send(first)
        await say(page, "Hello", turn=1)
    assert users == [person]
    async with open_page(Ticketed, user=AnonymousUser(), origin=None) as page:
        await page.send(first)
        assert await page.until_closed() == 4401


async def test_a_ticket_runs_out(person, store, monkeypatch):
    ticket = issue_ticket(person, seconds=30)
    now = time.time()
    monkeypatch.setattr("novasonic.contrib.django.tickets.time.time", lambda: now + 31)
    assert await redeem_ticket(ticket) is None


async def test_a_ticket_is_nothing_after_the_password_changed(person):
    ticket = issue_ticket(person)
    person.set_password("another")
    await person.asave()
    assert await redeem_ticket(ticket) is None


async def test_a_ticket_lets_no_deactivated_or_deleted_user_in(person):
    tickets = [issue_ticket(person), issue_ticket(person)]
    person.is_active = False
    await person.asave()
    assert await redeem_ticket(tickets[0]) is None
    await person.adelete()
    assert await redeem_ticket(tickets[1]) is None


async def test_a_ticket_is_refused_rather_than_taken_twice_where_redis_is_gone(person):
    with override_settings(NOVASONIC={"REDIS_URL": "redis://127.0.0.1:1/0"}):
        assert await redeem_ticket(issue_ticket(person)) is None


@pytest.mark.parametrize("ticket", ["", "x" * 100_000, "a:b:c", signing.dumps({"u": "1"})])
async def test_what_is_no_ticket_lets_nobody_in(ticket):
    assert await redeem_ticket(ticket) is None


def test_tickets_are_for_signed_in_users_and_short():
    with pytest.raises(ValueError, match="signed in"):
        issue_ticket(object())
    user = get_user_model()(pk=1, username="ann")
    for seconds in (0, -1, 3_601, float("nan")):
        with pytest.raises(ValueError, match="3600"):
            issue_ticket(user, seconds=seconds)


def test_a_resume_token_is_no_ticket_and_a_ticket_no_resume_token():
    with pytest.raises(TokenError):
        verify(issue_ticket(get_user_model()(pk=7, username="ann")))
