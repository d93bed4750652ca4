"""The element without a mouse."""

import pytest

from novasonic.emulator import Emulator

SECOND = bytes(32_000)
FOCUSED = """() => {
  const { activeElement } = document;
  const inner = activeElement.shadowRoot?.activeElement;
  return inner ? inner.getAttribute("part") : activeElement.localName;
}"""


@pytest.fixture(scope="module")
def site(serve):
    async def brain(turn):
        if "pay" in turn.text:
            await turn.call("pay", {"to": "Bob", "euros": 1, "why": "nothing"})
        await turn.say("So be it.")

    with Emulator(brain=brain) as emulator, serve(emulator, "element") as site:
        yield site


async def tab_to(page, part, back=False):
    for _ in range(20):
        await page.page.keyboard.press("Shift+Tab" if back else "Tab")
        if await page.page.evaluate(FOCUSED) == part:
            return
    raise AssertionError(f"no way to {part} by the tab key")


async def test_a_whole_conversation_by_keys_with_the_focus_always_somewhere(site, visit):
    async with visit(site, path="/element/one/") as page:
        keyboard = page.page.keyboard
        await tab_to(page, "button")
        ring = "part => getComputedStyle(part).outlineStyle"
        assert await page.part("button").evaluate(ring) == "solid"
        await keyboard.press("Enter")
        await page.until("states.at(-1) === 'listening'")
        await tab_to(page, "mute")
        await keyboard.press(" ")
        assert await page.nova("nova.muted")
        assert await page.part("mute").get_attribute("aria-pressed") == "true"
        await keyboard.press(" ")
        await tab_to(page, "text")
        await keyboard.type("Please pay")
        await keyboard.press("Enter")
        await page.part("question").wait_for()
        # It does not take the focus from who types.
        assert await page.page.evaluate(FOCUSED) == "text"
        await tab_to(page, "arguments", back=True)
        await tab_to(page, "yes")
        await keyboard.press("Enter")
        await page.part("question").wait_for(state="detached")
        assert await page.page.evaluate(FOCUSED) == "captions"
        await page.until("events.some(e => e.type === 'turn_ended')")
        # What had the focus goes: the button that began it all has it then.
        await tab_to(page, "mute", back=True)
        await page.page.evaluate("document.querySelector('nova-sonic-talk').nova.stop()")
        assert not await page.part("mute").is_visible()
        assert await page.page.evaluate(FOCUSED) == "button"


async def test_the_space_bar_is_a_microphone_key_only_where_it_types_and_presses_nothing(site, visit):
    async with visit(site, microphone=SECOND * 2, path="/element/held/") as page:
        keyboard = page.page.keyboard
        name, text = page.page.get_by_label("Name"), page.page.get_by_text("Text", exact=True)
        held = "nova.pressed"

        async def space_is_held():
            await keyboard.down(" ")
            pressed = await page.nova(held)
            await keyboard.up(" ")
            assert not await page.nova(held)
            return pressed

        # Before a conversation it scrolls, as everywhere.
        assert not await space_is_held()
        await page.talk()
        await page.becomes("nova.listens")
        # On the button itself too, which it does not press.
        assert await page.page.evaluate(FOCUSED) == "button"
        assert await space_is_held()
        assert await page.nova("nova.listens")
        await name.focus()
        assert not await space_is_held()
        assert await name.input_value() == " "
        await page.part("text").focus()
        assert not await space_is_held()
        assert await page.part("text").input_value() == " "
        await text.focus()
        assert not await space_is_held()
        await text.blur()
        assert await space_is_held()
        await page.part("hold").focus()
        await keyboard.down("Enter")
        assert await page.nova(held)
        # A page that loses the keys lets go.
        await page.page.evaluate("window.dispatchEvent(new Event('blur'))")
        assert not await page.nova(held)
        await keyboard.up("Enter")


async def test_the_space_bar_belongs_to_the_element_that_was_used_last(site, visit):
    async with visit(site, path="/element/two/") as page:
        for place in ("#first", "#second"):
            await page.page.locator(place).locator('[part="push"]').click()
            await page.page.locator(place).locator('[part="button"]').click()
            await page.page.wait_for_selector(f"{place} [part='button'][data-open]")
        await page.page.evaluate("document.activeElement.blur()")
        pressed = "[...document.querySelectorAll('nova-sonic-talk')].map(({ nova }) => nova.pressed)"
        await page.page.keyboard.down(" ")
        assert await page.page.evaluate(pressed) == [False, True]
        await page.page.keyboard.up(" ")
        await page.page.locator("#first").locator('[part="captions"]').click()
        await page.page.evaluate("document.activeElement.blur()")
        await page.page.keyboard.down(" ")
        assert await page.page.evaluate(pressed) == [True, False]
        await page.page.keyboard.up(" ")
