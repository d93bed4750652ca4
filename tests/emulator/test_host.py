"""The loop's side of Python brains, with a core played by hand: tools and races that no client reaches yet."""

import asyncio
import contextlib
import os

import pytest

from novasonic.emulator._host import BrainHost


class HandCore:
    """Has the methods of `_core.Emulator` that a host and a turn use, and a real descriptor."""

    def __init__(self):
        self.fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.acts = asyncio.Queue()
        self.takes = True
        self.refused = asyncio.Event()
        self.stopped = 0
        self._notices = []

    def __del__(self):
        os.close(self.fd)

    def tell(self, *notices):
        self._notices.extend(notices)
        os.eventfd_write(self.fd, 1)

    def turn(self, turn_id, text="Hello."):
        self.tell(
            ("turn", turn_id, (1, ""), text, b"", 16_000, 24_000, "tiffany", "", [("user", " ")], ["look"], "any")
        )

    def drain(self, max_notices):
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self.fd)
        taken, self._notices = self._notices[:max_notices], self._notices[max_notices:]
        return taken, [], bool(self._notices)

    def _act(self, *act):
        if not self.takes:
            self.refused.set()
            return False
        self.acts.put_nowait(act)
        return True

    def heard(self, turn_id, text):
        return self._act("heard", turn_id, text)

    def say(self, turn_id, text, pcm):
        return self._act("say", turn_id, text)

    def call(self, turn_id, call_id, name, arguments):
        return self._act("call", turn_id, call_id, name, arguments)

    def done(self, turn_id):
        return self._act("done", turn_id)

    def failed(self, turn_id, reason):
        return self._act("failed", turn_id)

    def stop(self):
        self.stopped += 1


@pytest.fixture
def core():
    return HandCore()


async def next_act(core):
    return await asyncio.wait_for(core.acts.get(), 5)


async def test_results_of_tools_find_their_calls(core):
    async def brain(turn):
        assert (turn.tools, turn.tool_choice) == (("look",), "any")
        both = await asyncio.gather(turn.call("look", {"at": "sky"}), turn.call("look"))
        await turn.say(str(both))

    host = BrainHost(core, brain, None)
    core.turn(3)
    assert await next_act(core) == ("call", 3, 1, "look", '{"at": "sky"}')
    assert await next_act(core) == ("call", 3, 2, "look", "{}")
    core.tell(("tool_result", 3, 2, '{"b": 2}'), ("tool_result", 9, 1, "{}"), ("tool_result", 3, 1, '{"a": 1}'))
    assert await next_act(core) == ("say", 3, "[{'a': 1}, {'b': 2}]")
    assert await next_act(core) == ("done", 3)
    await host.aclose()


async def test_a_call_that_is_given_up_leaves_the_others_alone(core):
    async def brain(turn):
        slow = asyncio.create_task(turn.call("look", {"at": "sea"}))
        sky = await turn.call("look", {"at": "sky"})
        slow.cancel()
        await turn.say(str(sky))
        await turn.say(str(await turn.call("look")))

    host = BrainHost(core, brain, None)
    core.turn(3)
    calls = {(await next_act(core))[4]: n for n in (1, 2)}
    core.tell(("tool_result", 3, 1, '{"n": 1}'), ("tool_result", 3, 2, '{"n": 2}'))
    said = await next_act(core)
    assert said == ("say", 3, str({"n": calls['{"at": "sky"}']}))
    assert (await next_act(core))[:3] == ("call", 3, 3)
    core.tell(("tool_result", 3, 3, '{"n": 3}'))
    assert await next_act(core) == ("say", 3, "{'n': 3}")
    await host.aclose()


async def test_a_client_that_does_not_read_holds_its_brain_up(core):
    async def brain(turn):
        await turn.say("Now?")

    host = BrainHost(core, brain, None)
    core.takes = False
    core.turn(1)
    await asyncio.wait_for(core.refused.wait(), 5)
    assert core.acts.empty()
    core.takes = True
    assert await next_act(core) == ("say", 1, "Now?")
    assert await next_act(core) == ("done", 1)
    await host.aclose()


async def test_more_turns_than_a_batch_are_all_served(core):
    async def brain(turn):
        pass

    host = BrainHost(core, brain, None)
    for turn_id in range(700):
        core.turn(turn_id)
    assert {(await next_act(core))[1] for _ in range(700)} == set(range(700))
    await host.aclose()
    assert core.stopped == 1


async def test_a_brain_that_swallows_its_cancellation_does_nothing_more(core):
    begun = asyncio.Event()

    async def brain(turn):
        begun.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

    host = BrainHost(core, brain, None)
    core.turn(1)
    await asyncio.wait_for(begun.wait(), 5)
    core.takes = False
    core.tell(("cancel", 1))
    await asyncio.wait_for(core.refused.wait(), 5)
    await asyncio.wait_for(host.aclose(), 5)
    assert core.acts.empty()
