"""Two tabs of one user: both talk, where the site lets them; one conversation is in one tab at a time."""

import pytest
import tape
from networksite import worker

from novasonic.emulator import Emulator

pytestmark = pytest.mark.slow

RATE = 16_000
SECOND = bytes(RATE * 2)


@pytest.fixture(scope="module")
def singing():
    with Emulator(brain=tape.singer(4)) as emulator:
        yield emulator


@pytest.fixture(params=[3, 1], ids=["3 conversations", "1 conversation"])
def generous(request, singing, tmp_path):
    """A site that lets a user hold so many conversations at once."""
    with worker(singing, tmp_path, LIMITS={"CONVERSATIONS_PER_OWNER": request.param}) as running:
        running.allowed = request.param
        yield running


@pytest.fixture
def site(singing, tmp_path):
    with worker(singing, tmp_path) as running:
        yield running


async def another_tab(page):
    """Open the page once more, in the same browser, as the same user."""
    other = await page.page.context.new_page()
    visit = type(page)(other, page.origin)
    await other.goto(page.page.url)
    await visit.reload()
    return visit


async def say(page, text):
    await page.page.evaluate(f"{tape.NOVA}.sendText({text!r})")
    await page.until(f"events.some(e => e.type === 'transcript' && e.text === 'You said {text}.')")
    await page.until("heard.some(h => h.rms > 0.1)")


async def test_both_talk_or_the_second_is_told_why_not_as_the_site_says(generous, visit):
    async with visit(generous, microphone=b"") as first:
        await first.talk()
        await first.until("states.at(-1) === 'listening'")
        second = await another_tab(first)
        await second.talk()
        if generous.allowed == 1:
            await second.until("states.at(-1) === 'failed'")
            assert "4429" not in await second.page.locator("body").inner_text()
            [refused] = await second.probe("events.filter(e => e.type === 'error')")
            assert refused["code"] == "too_many_conversations"
            await second.page.get_by_text(refused["message"]).first.wait_for()
            # Nothing of that reaches the first.
            await say(first, "one")
            assert await first.probe("states.includes('failed')") is False
            await first.page.evaluate(f"{tape.NOVA}.stop()")
            await first.until("states.at(-1) === 'ended'")
            await second.page.evaluate(f"{tape.NOVA}.start()")
        await second.until("states.at(-1) === 'listening'")
        await say(second, "two")
        if generous.allowed > 1:
            await say(first, "one")
            for page, foreign in ((first, "two"), (second, "one")):
                assert not await page.probe(f"events.some(e => (e.text ?? '').includes('{foreign}'))")
        assert second.console == []


async def test_a_conversation_that_another_tab_goes_on_with_is_over_in_the_first_and_stays_so(site, visit):
    async with visit(site, microphone=b"") as first:
        await tape.tap(first.page)
        await first.talk()
        await first.until("states.at(-1) === 'listening'")
        await say(first, "one")
        await first.until("states.at(-1) === 'listening'")
        tokens = [message.get("resumeToken") for message in await tape.messages(first.page)]
        token = [token for token in tokens if token][-1]
        second = await another_tab(first)
        await tape.tap(second.page)
        await second.page.evaluate(
            """async (token) => {
              const Stock = WebSocket;
              window.WebSocket = class extends Stock {
                send(frame) {
                  const message = typeof frame === "string" ? JSON.parse(frame) : null;
                  const begins = message?.type === "initialize";
                  super.send(begins ? JSON.stringify({ ...message, resumeToken: token }) : frame);
                }
              };
            }""",
            token,
        )
        await second.talk()
        await second.until("states.at(-1) === 'listening'")
        [resumed] = await tape.messages(second.page, "resumed")
        assert resumed["turn"] == 1
        await first.until("states.at(-1) === 'failed'")
        [closed] = await tape.messages(first.page, "socket_closed")
        assert closed["code"] == 4409
        await first.page.get_by_text("goes on").first.wait_for()
        await say(second, "two")
        # It does not take the conversation back, which both would then do by turns.
        assert await first.probe("states.includes('reconnecting')") is False
        assert await first.probe("states.at(-1)") == "failed"
        [opened] = await tape.messages(first.page, "initialized")
        assert opened["sessionId"] == (await tape.messages(second.page, "initialized"))[0]["sessionId"]
        assert second.console == []
