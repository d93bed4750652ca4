"""What a site overrides, what goes with a conversation, and who gets in: against the emulator, in this process."""

import asyncio
import json
from types import SimpleNamespace

import pytest
from django.test import override_settings

import novasonic
from novasonic import events
from novasonic.contrib.asgi import handler as handler_module
from novasonic.contrib.asgi import outlet
from novasonic.contrib.asgi.companion import Companion, Refused
from novasonic.contrib.asgi.relay import Relay
from novasonic.contrib.asgi.wire import CloseCode
from novasonic.contrib.django.consumers import NovaSonicConsumer
from novasonic.contrib.django.permissions import AllowAny, IsStaff, Permission, SignedIn
from novasonic.emulator import Emulator, Fault

ANONYMOUS = SimpleNamespace(is_authenticated=False, is_active=False)
ADA = SimpleNamespace(pk=7, is_authenticated=True, is_active=True, is_staff=False)
STAFF = SimpleNamespace(pk=8, is_authenticated=True, is_active=True, is_staff=True)

pytestmark = pytest.mark.usefixtures("unaccompanied")


@pytest.fixture(autouse=True)
def _voice(parrot, use_emulator):
    use_emulator(parrot)


class Talker(NovaSonicConsumer):
    system = "You are a parrot."


async def ask(page, text="Good evening", turn=1):
    await page.send({"type": "text_message", "text": text})
    await page.until("turn_ended", turn=turn)


async def test_a_vetoed_sentence_is_neither_read_nor_heard(open_page):
    planned = []

    class Decent(Talker):
        async def on_planned_text(self, event):
            planned.append(event.text)
            return "rude" not in event.text

    async with open_page(Decent) as page:
        await ask(page, "how very rude")
        assert any("rude" in text for text in planned)
        assert not page.audio
        assert not [line for line in page.of_type("transcript") if line["role"] == "assistant"]
        await ask(page, "how very nice", turn=2)
        assert page.audio


async def test_a_sentence_that_nobody_planned_can_be_vetoed_too():
    asked, told = [], []

    class Decent(Talker):
        async def on_planned_text(self, event):
            asked.append(event.text)
            return "rude" not in event.text

        async def send_frame(self, *, text=None, pcm=None):
            told.append(json.loads(text)["text"])

    async def session():
        # The service at times says what it never announced, or says it in other words.
        for segment, text, final in [(0, "Well", False), (0, "Well", True), (1, "how rude", True), (2, "Yes", True)]:
            yield events.Transcript(
                at=0.0, raw_type="textOutput", turn=1, role="assistant", text=text, final=final, segment=segment
            )

    assert await Relay(Decent()).run(session()) == "closed"
    assert told == ["Well", "Well", "Yes"]
    assert asked == ["Well", "how rude", "Yes"]


async def test_hooks_hear_of_turns_interruptions_and_the_end(open_page):
    heard = []

    class Curious(Talker):
        async def on_turn(self, event):
            heard.append(("turn", event.turn))

        async def on_interrupted(self, event):
            heard.append(("interrupted", event.source))

        async def on_end(self, reason, error):
            heard.append((reason, error))

    async with open_page(Curious) as page:
        await page.send({"type": "text_message", "text": "one two three four five six seven " * 20})
        while not page.audio:
            await page.next()
        await page.send({"type": "interrupt"})
        await page.until("turn_ended", turn=1)
        await page.send({"type": "close"})
        assert await page.until_closed() == 1000
    assert heard == [("interrupted", "client"), ("turn", 1), ("closed", None)]


def ending(ends):
    class Ending(Talker):
        async def on_end(self, reason, error):
            ends.append((type(self).__name__, reason, getattr(error, "code", None)))

    return Ending


class Shut(Companion):
    async def admit(self):
        raise Refused(CloseCode.NO_CAPACITY, "full", "Nobody is free.", retryable=True)


class Closed(Talker):
    def get_companions(self):
        return [Shut(self)]


async def test_a_site_answers_by_text_where_nobody_can_talk(open_page, use_emulator):
    ends = []

    class Sorry(ending(ends)):
        async def on_unavailable(self, error):
            assert isinstance(error, novasonic.ThrottledError)
            return "Call us at noon."

    with Emulator(faults=[Fault.refuse(429, "ThrottlingException", "Too many requests")]) as busy:
        use_emulator(busy)
        async with open_page(Sorry) as page:
            await page.send({"type": "text_message", "text": "Hello"})
            assert await page.until_closed() == 4503
            assert [line["text"] for line in page.of_type("transcript")] == ["Call us at noon."]
    assert [(name, reason) for name, reason, _ in ends] == [("Sorry", "error")]


async def test_another_consumer_takes_the_socket_and_what_was_said(open_page):
    ends = []

    class Spare(ending(ends)):
        pass

    class Full(Spare):
        def get_companions(self):
            return [Shut(self)]

        async def on_unavailable(self, error):
            assert error.code == "full"
            return Spare

    class Shut(Companion):
        async def admit(self):
            raise Refused(CloseCode.NO_CAPACITY, "full", "Nobody is free.", retryable=True)

    async with open_page(Full) as page:
        await page.send({"type": "text_message", "text": "Good evening"})
        await page.until("turn_ended", turn=1)
        assert "Good evening" in " ".join(line["text"] for line in page.of_type("transcript"))
        await ask(page, "And again", turn=2)
        await page.send({"type": "close"})
        assert await page.until_closed() == 1000
        assert not page.of_type("error")
    assert ends == [("Full", "refused", "full"), ("Spare", "closed", None)]


async def test_whoever_was_hung_up_while_nobody_could_talk_gets_no_other_consumer(open_page):
    began, handlers, asked, may_answer = [], [], asyncio.Event(), asyncio.Event()

    class Spare(Talker):
        async def prepare(self):
            began.append(self)

    class Full(Closed):
        async def prepare(self):
            handlers.append(self)

        async def on_unavailable(self, error):
            asked.set()
            await may_answer.wait()
            return Spare

        async def send_frame(self, **frame):
            await super().send_frame(**frame)
            if asked.is_set():
                may_answer.set()  # while `hang_up` still tells the page why
                await asyncio.sleep(0)

    async with open_page(Full) as page:
        await page.send({"type": "text_message", "text": "Hello"})
        await asked.wait()
        await handlers[0].hang_up(CloseCode.NOT_SIGNED_IN, "signed_out", "You are not signed in any more.")
        assert await page.until_closed() == 4401
        await asyncio.gather(handlers[0]._conversing, return_exceptions=True)
        assert not began


async def test_hanging_up_the_first_consumer_ends_the_one_that_took_its_socket(open_page, parrot):
    handlers, ends = [], []

    class Spare(ending(ends)):
        pass

    class Full(Closed):
        async def prepare(self):
            handlers.append(self)

        async def on_unavailable(self, error):
            return Spare

    async with open_page(Full) as page:
        await page.send({"type": "text_message", "text": "Good evening"})
        await page.until("turn_ended", turn=1)
        await handlers[0].hang_up(CloseCode.NOT_SIGNED_IN, "signed_out", "You are not signed in any more.")
        assert await page.until_closed() == 4401
        await asyncio.gather(handlers[0]._successor._conversing, return_exceptions=True)
        assert ends == [("Spare", "error", None)]
        assert parrot.streams[-1].ended is not None


async def test_what_a_consumer_held_is_given_back_before_another_takes_the_socket(open_page):
    told = []

    class Holding(Companion):
        async def admit(self):
            told.append(f"{type(self.handler).__name__} admit")
            if isinstance(self.handler, Full):
                raise Refused(CloseCode.NO_CAPACITY, "full", "Nobody is free.", retryable=True)

        async def ended(self, reason, error):
            await asyncio.sleep(0.05)
            told.append(f"{type(self.handler).__name__} ended")

    class Spare(Talker):
        def get_companions(self):
            return [Holding(self)]

    class Full(Spare):
        async def on_unavailable(self, error):
            return Spare

    async with open_page(Full) as page:
        await page.send({"type": "text_message", "text": "Good evening"})
        await page.until("turn_ended", turn=1)
    assert told == ["Full admit", "Full ended", "Spare admit", "Spare ended"]


async def test_consumers_that_send_on_to_each_other_end(open_page):
    class Ping(Talker):
        def get_companions(self):
            return [Shut(self)]

        async def on_unavailable(self, error):
            return Ping

    class Shut(Companion):
        async def admit(self):
            raise Refused(CloseCode.NO_CAPACITY, "full", "Nobody is free.")

    async with open_page(Ping) as page:
        await page.send({"type": "text_message", "text": "Hello"})
        assert await page.until_closed() == 4503


async def test_a_page_learns_that_nobody_can_talk_though_the_sites_own_answer_fails(open_page, caplog):
    class Broken(Closed):
        async def on_unavailable(self, error):
            raise LookupError("no such page")

    async with open_page(Broken) as page:
        await page.send({"type": "text_message", "text": "Hello"})
        assert await page.until_closed() == 4503
        assert page.of_type("error")[0]["code"] == "full"
    assert "Broken" in caplog.text


class Witness(Companion):
    """Says what it was asked, and by its name in which order."""

    name = ""
    told: list

    async def begin(self):
        self.told.append(f"{self.name} begin")

    async def admit(self):
        self.told.append(f"{self.name} admit")

    async def opened(self, session):
        self.told.append(f"{self.name} opened")

    def event(self, event):
        if isinstance(event, events.TurnStarted):
            self.told.append(f"{self.name} event")

    async def turn_ended(self, event):
        self.told.append(f"{self.name} turn {event.turn}")

    async def ended(self, reason, error):
        self.told.append(f"{self.name} {reason}")


def accompanied(told, *, refuse=None, system="x"):
    class First(Witness):
        name = "first"

    class Second(Witness):
        name = "second"

        async def admit(self):
            await super().admit()
            if refuse is not None:
                raise refuse

    First.told = Second.told = told

    class Accompanied(Talker):
        def get_companions(self):
            return [First(self), Second(self)]

    return Accompanied


async def test_companions_are_asked_in_order_and_told_in_order(open_page):
    told = []
    async with open_page(accompanied(told)) as page:
        await page.send({"type": "initialize"})
        await page.until("initialized")
        assert told == ["first begin", "second begin"]
        await ask(page)
        assert told[2:] == [
            *("first admit", "second admit", "first opened", "second opened", "first event", "second event"),
            *("first turn 1", "second turn 1"),
        ]
    # The page went away.
    assert told[-2:] == ["second gone", "first gone"]


async def test_a_companion_refuses_before_anything_costs(open_page, parrot):
    told = []
    refuse = Refused(CloseCode.TOO_MANY, "too_many", "You talk elsewhere already.")
    before = len(parrot.streams)
    async with open_page(accompanied(told, refuse=refuse)) as page:
        await page.send({"type": "text_message", "text": "Hello"})
        assert await page.until_closed() == 4429
        error = page.of_type("error")[0]
        assert (error["code"], error["message"]) == ("too_many", "You talk elsewhere already.")
    assert told[-2:] == ["second refused", "first refused"]
    assert len(parrot.streams) == before


async def test_hanging_up_from_elsewhere_ends_the_stream_in_order(open_page, parrot):
    told, handlers = [], []

    class Known(accompanied(told)):
        async def get_tools(self):
            handlers.append(self)
            return ()

    async with open_page(Known) as page:
        await ask(page)
        await handlers[0].hang_up(CloseCode.TAKEN_OVER, "taken_over", "It goes on elsewhere.", reason="reconnect")
        assert await page.until_closed() == 4409
    assert told[-2:] == ["second reconnect", "first reconnect"]
    assert parrot.streams[-1].ended is not None


@pytest.mark.parametrize("how", ["hung up", "over"])
async def test_a_page_that_stops_reading_keeps_no_conversation(open_page, parrot, monkeypatch, how):
    monkeypatch.setattr(handler_module, "FAREWELL_SECONDS", 0.1)
    monkeypatch.setattr(outlet, "STALLED_SECONDS", 0.2)
    handlers, stopped, ended = [], asyncio.Event(), asyncio.Event()

    class Deaf(Talker):
        async def prepare(self):
            handlers.append(self)

        async def send_frame(self, **frame):
            if stopped.is_set():
                await asyncio.Event().wait()  # as a server does whose buffer is full
            await super().send_frame(**frame)

        async def on_end(self, reason, error):
            ended.set()

    async with open_page(Deaf) as page:
        await ask(page)
        stopped.set()
        if how == "hung up":
            hanging_up = asyncio.create_task(
                handlers[0].hang_up(CloseCode.NOT_SIGNED_IN, "signed_out", "You are not signed in any more.")
            )
            await asyncio.wait_for(hanging_up, 5)
        else:
            await page.send({"type": "close"})
        await asyncio.wait_for(ended.wait(), 5)
        assert parrot.streams[-1].ended is not None


async def test_what_ends_is_ended_whole_though_the_page_goes_meanwhile(open_page, eventually):
    told, handlers, entered, may_end = [], [], asyncio.Event(), asyncio.Event()

    class Settling(Companion):
        async def ended(self, reason, error):
            entered.set()
            await may_end.wait()
            told.append(reason)

    class Slow(Talker):
        def get_companions(self):
            handlers.append(self)
            return [Settling(self)]

    async with open_page(Slow) as page:
        await ask(page)
        await page.send({"type": "close"})
        await entered.wait()
        page.communicator.future.cancel()
        await eventually(lambda: handlers[0]._conversing.cancelling())
        may_end.set()
        with pytest.raises(asyncio.CancelledError):
            await page.communicator.future
    assert told == ["closed"]


class Ticketed(Talker):
    tickets = True

    async def redeem_ticket(self, ticket):
        return ADA if ticket == "right" else None


@pytest.mark.parametrize(
    "first",
    [{"type": "initialize", "ticket": "wrong"}, {"type": "initialize"}, {"type": "text_message", "text": "Hello"}],
)
async def test_without_a_right_ticket_nobody_gets_in(open_page, first):
    async with open_page(Ticketed, user=ANONYMOUS, origin=None) as page:
        await page.send(first)
        assert await page.until_closed() == 4401


async def test_a_ticket_says_who_talks_and_needs_no_origin(open_page):
    owners = []

    class Known(Ticketed):
        async def get_tools(self):
            owners.append(self.conversation.owner)
            return ()

    async with open_page(Known, user=ANONYMOUS, origin=None) as page:
        await page.send({"type": "initialize", "ticket": "right"})
        await page.until("initialized")
        await ask(page)
    assert owners == ["7"]


async def test_a_page_that_says_nothing_is_closed(open_page):
    with override_settings(NOVASONIC={"FIRST_MESSAGE_SECONDS": 0.05}):
        async with open_page(Talker) as page:
            assert await page.until_closed() == 4408
            assert page.of_type("error")[0]["code"] == "first_message_timeout"


async def test_a_ticket_that_is_looked_up_too_late_begins_nothing(open_page):
    closed, began = asyncio.Event(), []

    class Late(Ticketed):
        async def redeem_ticket(self, ticket):
            await closed.wait()
            return ADA

        async def prepare(self):
            began.append(self)

    with override_settings(NOVASONIC={"FIRST_MESSAGE_SECONDS": 0.1}):
        async with open_page(Late, user=ANONYMOUS) as page:
            await page.send({"type": "initialize", "ticket": "slow"})
            assert await page.until_closed() == 4408
            closed.set()
    assert not began


async def test_proxies_are_shown_that_the_page_is_alive(open_page):
    with override_settings(NOVASONIC={"HEARTBEAT_SECONDS": 0.05}):
        async with open_page(Talker) as page:
            await page.send({"type": "initialize"})
            for _ in range(3):
                await page.until("heartbeat")


class Never(Permission):
    async def allows(self, *, user, scope):
        return False


@pytest.mark.parametrize(
    ("permission", "user", "close"),
    [
        (SignedIn() & IsStaff(), ADA, 4403),
        (SignedIn() & IsStaff(), STAFF, None),
        (IsStaff() | AllowAny(), ANONYMOUS, None),
        (IsStaff() | Never(), ADA, 4403),
        (~SignedIn(), ANONYMOUS, None),
        (~SignedIn(), ADA, 4403),
        (IsStaff(), ANONYMOUS, 4401),
    ],
)
async def test_permissions_combine(open_page, permission, user, close):
    class Guarded(Talker):
        pass

    Guarded.permission = permission
    async with open_page(Guarded, user=user) as page:
        await page.send({"type": "initialize"})
        if close is None:
            await page.until("initialized")
        else:
            assert await page.until_closed() == close


async def test_the_sites_permission_holds_where_a_consumer_names_none(open_page):
    with override_settings(NOVASONIC={"PERMISSION": f"{__name__}.Never"}):
        async with open_page(Talker) as page:
            assert await page.until_closed() == 4403
