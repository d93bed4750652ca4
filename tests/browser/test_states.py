"""Each state of the element: how it looks, for people to judge, and what axe says of it.

The pictures are in `.build/screenshots/`: light, dark and written from right to left.
"""

import pytest
from websupport import ROOT

from novasonic.emulator import Emulator

PICTURES = ROOT / ".build" / "screenshots"
SECOND = bytes(32_000)
WRONG = {"serious", "critical"}
STORY = (
    "Once upon a time there was a lighthouse keeper who counted the waves, one by one, every single night.",
    "Until the sea grew curious and came up the stairs to ask him why.",
)


@pytest.fixture(scope="module")
def site(serve, say):
    async def brain(turn):
        if "pay" in turn.text:
            await turn.call("pay", {"to": "Lighthouse Ltd.\u202e", "euros": 40, "why": "oil for the lamp"})
            await turn.say("It is paid.")
            return
        for sentence in STORY:
            await turn.say(sentence, audio=say(sentence, turn.output_rate))

    with Emulator(brain=brain) as emulator, serve(emulator, "element") as site:
        yield site


@pytest.fixture
def judged(axe):
    """Take the pictures of a state, and ask axe; returns a function of page and name."""
    PICTURES.mkdir(parents=True, exist_ok=True)

    async def judge(page, name):
        found = {}
        for look, scheme, direction in (("light", "light", "ltr"), ("dark", "dark", "ltr"), ("rtl", "light", "rtl")):
            await page.page.emulate_media(color_scheme=scheme)
            await page.page.evaluate(f"document.dir = '{direction}'")
            await page.page.screenshot(path=PICTURES / f"{name}-{look}.png", full_page=True)
            if not await page.page.evaluate("'axe' in window"):
                await page.page.evaluate(axe)
            result = await page.page.evaluate("axe.run()")
            assert len(result["passes"]) > 10
            for rule in result["violations"]:
                if rule["impact"] in WRONG:
                    found[f"{name} {look} {rule['id']}"] = [node["failureSummary"] for node in rule["nodes"]]
        await page.page.emulate_media(color_scheme="light")
        await page.page.evaluate("document.dir = 'ltr'")
        assert found == {}

    return judge


@pytest.mark.timeout(180)
async def test_a_conversation_looks_well_and_breaks_no_rule_from_its_beginning_to_its_end(site, visit, judged):
    async with visit(site, path="/element/one/") as page:
        await page.page.set_viewport_size({"width": 900, "height": 900})
        await judged(page, "idle")
        await page.talk()
        await page.until("states.at(-1) === 'listening'")
        await page.part("device").wait_for()
        await judged(page, "listening")
        await page.part("mute").click()
        await judged(page, "muted")
        await page.part("mute").click()
        await page.type("Tell me a story.")
        await page.until("states.at(-1) === 'speaking'")
        await page.until(f"events.some(e => e.type === 'transcript' && e.text === {STORY[0]!r})")
        # It goes on speaking while it is looked at.
        await page.until("heard.some(h => h.rms > 0.02)")
        await judged(page, "speaking")
        await page.until("events.some(e => e.type === 'turn_ended')", seconds=40)
        await page.until("states.at(-1) === 'listening'", seconds=40)
        await page.type("Please pay for the oil.")
        await page.part("question").wait_for()
        await judged(page, "question")
        await page.part("yes").click()
        await page.part("question").wait_for(state="detached")
        await page.part("push").click()
        await page.part("hold").hover()
        await page.page.mouse.down()
        await judged(page, "held")
        await page.page.mouse.up()
        await page.part("push").click()
        await page.page.context.set_offline(True)
        await page.part("notice").wait_for()
        assert "offline" in await page.part("notice").inner_text()
        await judged(page, "offline")
        await page.page.context.set_offline(False)
        await page.becomes("nova.condition === null")
        await page.talk()
        await page.until("states.at(-1) === 'ended'")
        await judged(page, "ended")


@pytest.mark.timeout(120)
async def test_so_does_one_that_may_not_listen(site, visit, judged):
    async with visit(site, granted=False, path="/element/one/") as page:
        await page.talk()
        await page.part("notice").wait_for()
        await judged(page, "denied")


@pytest.mark.timeout(120)
async def test_so_does_the_stock_page_and_one_in_german(site, visit, judged):
    async with visit(site, microphone=None) as page:
        await judged(page, "stock")
        await page.page.set_viewport_size({"width": 360, "height": 780})
        await judged(page, "narrow")
        await page.go("/element/one/?language=de")
        assert await page.part("send").inner_text() == "Senden"
        await page.type("Guten Tag")
        await page.until("states.at(-1) === 'speaking'")
        assert await page.part("state").inner_text() == "Ich spreche"
        await judged(page, "german")


async def test_colours_of_the_users_own_show_every_control(site, visit, judged):
    async with visit(site, path="/element/one/") as page:
        await page.page.emulate_media(forced_colors="active")
        await page.talk()
        await page.until("states.at(-1) === 'listening'")
        await page.part("mute").click()
        await page.page.screenshot(path=PICTURES / "forced-colours.png", full_page=True)
        # A pressed button differs by its ground, not by a colour that is taken away.
        grounds = [
            await page.part(name).evaluate("part => getComputedStyle(part).backgroundColor")
            for name in ("mute", "push")
        ]
        assert grounds[0] != grounds[1]


async def test_nothing_moves_by_itself_for_those_who_want_no_motion(site, visit):
    moving = """() => {
      const root = document.querySelector("nova-sonic-talk").shadowRoot;
      root.querySelector("button").dataset.state = "thinking";
      return root.getAnimations().filter((each) => each instanceof CSSAnimation).length;
    }"""
    async with visit(site, microphone=None, path="/element/one/") as page:
        counted = []
        for motion in ("reduce", "no-preference"):
            await page.page.emulate_media(reduced_motion=motion)
            counted.append(await page.page.evaluate(moving))
        assert counted == [0, 1]
