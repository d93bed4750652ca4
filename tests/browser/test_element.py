"""What pages may count on from `<nova-sonic-talk>`: its life, its attributes, its words, its captions."""

import pytest

from novasonic.emulator import Emulator

SECOND = bytes(32_000)
ANSWER = "The first sentence. The second one."


@pytest.fixture(scope="module")
def site(serve, say):
    spoken = {}

    async def brain(turn):
        if "long" in turn.text:
            # Some seconds, to be stopped in.
            await turn.say(
                "A long answer.", audio=spoken.setdefault("long", say("A long answer. " * 8, turn.output_rate))
            )
        elif "pay" in turn.text:
            await turn.call("pay", {"to": "Bob", "euros": 1, "why": "nothing"})
            await turn.say("So be it.")
        else:
            for sentence in ("The first sentence.", "The second one."):
                await turn.say(sentence, audio=spoken.setdefault(sentence, say(sentence, turn.output_rate)))

    with Emulator(brain=brain) as emulator, serve(emulator, "element") as site:
        site.emulator = emulator
        yield site


def opened(page):
    """What the page asked for when it opened conversations."""
    return [message for _, message in page.sent if message["type"] == "initialize"]


def closed(page):
    return [message for _, message in page.sent if message["type"] == "close"]


async def test_three_turns_by_keyboard_one_of_them_while_the_answer_is_spoken(site, visit):
    async with visit(site, microphone=None, path="/element/one/") as page:
        await page.type("Hello")
        await page.until("events.some(e => e.type === 'turn_ended' && e.turn === 1)")
        await page.type("Tell me something long")
        await page.until("states.at(-1) === 'speaking' && events.some(e => e.type === 'turn_started' && e.turn === 2)")
        await page.type("And now something else")
        await page.until("events.some(e => e.type === 'turn_ended' && e.turn === 3)")
        roles = [await line.get_attribute("data-role") for line in await page.part("line").all()]
        assert roles == ["user", "assistant"] * 3
        assert await page.part("user").locator("[data-segment]").all_inner_texts() == [
            "Hello",
            "Tell me something long",
            "And now something else",
        ]
        assert len(opened(page)) == 1


async def test_a_screen_reader_is_told_each_final_sentence_once_and_nothing_that_is_only_planned(site, visit):
    async with visit(site, microphone=None, path="/element/one/") as page:
        said = page.page.locator("nova-sonic-talk [role=log] p")
        await page.page.evaluate(
            """() => {
              window.planned = 0;
              const { nova } = document.querySelector("nova-sonic-talk");
              nova.addEventListener("transcript", ({ detail }) => { window.planned += !detail.final; });
            }"""
        )
        await page.type("Hello")
        await page.until("events.filter(e => e.type === 'transcript' && e.final).length >= 3")
        await page.until("states.at(-1) === 'listening'")
        texts = await said.all_inner_texts()
        # Some were planned first, and every one has its end; what was typed is known to who typed it.
        assert await page.page.evaluate("window.planned") > 0
        assert [text for text in texts if "sentence" in text or "second" in text] == ANSWER.replace(". ", ".|").split(
            "|"
        )
        assert not any("Hello" in text for text in texts)
        # The round of the turn is seen, and not read out.
        assert not {"Thinking…", "Speaking"} & set(texts)
        live = await page.page.evaluate(
            """() => [...document.querySelector("nova-sonic-talk").shadowRoot.querySelectorAll("[aria-live], [role]")]
              .filter((part) => /log|alert|status/.test(part.role)).map((part) => part.part.value || part.role)"""
        )
        assert live == ["notice", "log"]


@pytest.mark.parametrize("how", ["element.remove()", "document.body.append(element)"])
async def test_an_element_that_leaves_its_place_ends_its_conversation_and_begins_anew(site, visit, how):
    async with visit(site, path="/element/one/") as page:
        await page.talk()
        await page.until("states.at(-1) === 'listening'")
        await page.page.evaluate(f"window.element = document.querySelector('nova-sonic-talk'); {how}")
        assert await page.page.evaluate("element.nova.state") == "ended"
        assert not await page.page.evaluate("element.nova.listens")
        await page.page.evaluate("document.body.append(element)")
        assert len(closed(page)) == 1
        await page.talk()
        await page.until("states.at(-1) === 'listening'")
        assert len(opened(page)) == 2
        assert not await page.part("notice").is_visible()


async def test_two_on_a_page_talk_by_themselves(site, visit):
    async with visit(site, microphone=None, path="/element/two/") as page:
        second = page.page.locator("#second")
        await second.locator('[part="text"]').fill("Hello")
        await second.locator('[part="send"]').click()
        await second.locator('[part~="assistant"]').wait_for()
        assert await page.page.locator("#first [data-segment]").count() == 0
        assert await page.nova("nova.state") == "idle"
        await page.page.locator("#first").locator('[part="text"]').fill("Hello")
        await page.page.locator("#first").locator('[part="send"]').click()
        await page.page.locator("#first").locator('[part~="assistant"]').wait_for()
        assert [message.get("voice") for message in opened(page)] == ["matthew", None]


async def test_attributes_that_change_are_heeded(site, visit):
    async with visit(site, microphone=None, path="/element/one/") as page:
        element = page.page.locator("nova-sonic-talk")
        await element.evaluate("element => element.setAttribute('captions', 'off')")
        assert not await page.part("captions").is_visible()
        await element.evaluate("element => element.removeAttribute('captions')")
        assert await page.part("captions").is_visible()
        await element.evaluate("element => element.setAttribute('push-to-talk', '')")
        assert await page.nova("nova.pushToTalk")
        assert await page.part("hold").is_visible()
        await element.evaluate("element => element.removeAttribute('push-to-talk')")
        assert not await page.part("hold").is_visible()
        assert await page.part("sample").is_visible()
        await element.evaluate("element => element.removeAttribute('sample')")
        assert not await page.part("sample").is_visible()
        await element.evaluate("element => { element.setAttribute('voice', 'matthew'); }")
        await page.type("Hello")
        await page.until("events.some(e => e.type === 'usage')")
        assert await page.part("cost").is_visible()
        await element.evaluate("element => element.removeAttribute('figures')")
        assert not await page.part("cost").is_visible()
        assert [message["voice"] for message in opened(page)] == ["matthew"]


async def test_attributes_may_come_in_any_order_before_the_element_is_on_the_page(site, visit):
    async with visit(site, microphone=None, path="/element/one/") as page:
        addresses = await page.page.evaluate(
            """async () => {
              const addresses = [];
              window.WebSocket = class { constructor(address) { addresses.push(address.pathname); } close() {} };
              const element = document.createElement("nova-sonic-talk");
              // As React does, one after the other.
              for (const [name, value] of [["sample", ""], ["push-to-talk", ""], ["url", "/elsewhere/"]]) {
                element.setAttribute(name, value);
              }
              document.body.append(element);
              void element.nova.start({ microphone: false }).catch(() => {});
              await new Promise((done) => setTimeout(done));
              element.remove();
              return [...addresses, element.nova.pushToTalk];
            }"""
        )
        assert addresses == ["/elsewhere/", True]


async def test_what_was_typed_and_could_not_be_sent_stays_in_the_field(site, visit):
    async with visit(site, microphone=None, path="/element/one/") as page:
        await page.page.evaluate(
            """() => {
              const element = document.querySelector("nova-sonic-talk");
              element.choices = () => Promise.reject(new Error("No ticket."));
            }"""
        )
        await page.type("Hello")
        await page.until("states.at(-1) === 'failed'")
        assert await page.part("notice").inner_text() == "No ticket."
        assert await page.part("text").input_value() == "Hello"
        assert await page.said.count() == 0
        await page.page.evaluate("() => { document.querySelector('nova-sonic-talk').choices = {}; }")
        await page.part("text").press("Enter")
        await page.until("events.some(e => e.type === 'turn_ended')")
        assert await page.part("user").count() == 1


async def test_who_holds_the_button_while_the_connection_is_lost_asks_for_a_microphone_and_ends_nothing(site, visit):
    async with visit(site, microphone=None, path="/element/held/") as page:
        await page.type("Hello")
        await page.until("events.some(e => e.type === 'turn_ended')")
        await page.page.evaluate(
            """() => {
              const { nova } = document.querySelector("nova-sonic-talk");
              nova.state = "reconnecting";
              nova.start = () => { window.asked = true; return new Promise(() => {}); };
            }"""
        )
        await page.part("hold").focus()
        await page.page.keyboard.down(" ")
        await page.page.keyboard.up(" ")
        assert await page.page.evaluate("window.asked")
        assert closed(page) == []


async def test_choices_of_the_page_are_asked_for_at_each_beginning(site, visit):
    async with visit(site, microphone=None, path="/element/plain/") as page:
        await page.page.evaluate(
            """() => {
              let asked = 0;
              const voices = ["matthew", "tiffany"];
              document.querySelector("nova-sonic-talk").choices = async () => ({ voice: voices[asked++] });
            }"""
        )
        for _ in range(2):
            await page.type("Hello")
            await page.until("events.some(e => e.type === 'initialized') && states.at(-1) === 'listening'")
            await page.page.evaluate("document.querySelector('nova-sonic-talk').nova.stop()")
        assert [message["voice"] for message in opened(page)] == ["matthew", "tiffany"]


async def test_what_the_page_puts_into_it_is_shown_and_can_be_pressed(site, visit):
    async with visit(site, microphone=None, path="/element/filled/") as page:
        assert await page.page.get_by_role("heading", name="Ask away").is_visible()
        assert await page.page.get_by_text("Nothing yet.").is_visible()
        await page.page.get_by_role("button", name="Ask this").click()
        assert await page.said.first.inner_text() == "Say this"
        await page.until("events.some(e => e.type === 'turn_started')")


async def test_without_captions_a_tool_still_asks(site, visit):
    async with visit(site, microphone=None, path="/element/plain/") as page:
        await page.type("Please pay")
        await page.part("question").wait_for()
        assert await page.part("arguments").is_visible()
        await page.part("no").click()
        await page.part("question").wait_for(state="detached")


async def test_a_microphone_can_be_chosen_in_the_midst_of_a_conversation(site, visit):
    async with visit(site, microphone=SECOND * 2, path="/element/one/") as page:
        await page.talk()
        await page.part("device").wait_for()
        labels = await page.part("device").locator("option").all_inner_texts()
        assert len(labels) > 1
        await page.part("device").select_option(labels[-1])
        await page.becomes("nova.listens")
        assert await page.part("device").evaluate("select => select.selectedOptions[0].label") == labels[-1]
        assert not await page.part("notice").is_visible()


async def test_a_microphone_that_is_pulled_out_is_said_and_another_one_taken(site, visit):
    async with visit(site, microphone=SECOND * 2, path="/element/one/") as page:
        # The browser's own way to a track, so that it can be ended as a cable would.
        await page.page.evaluate(
            """() => {
              window.tracks = [];
              const real = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
              navigator.mediaDevices.getUserMedia = async (wish) => {
                if (window.gone) throw new DOMException("gone", "NotFoundError");
                const stream = await real(wish);
                window.tracks.push(...stream.getTracks());
                return stream;
              };
              window.unplug = () => {
                tracks.at(-1).stop();
                tracks.at(-1).dispatchEvent(new Event("ended"));
              };
            }"""
        )
        await page.talk()
        await page.until("states.at(-1) === 'listening'")
        await page.becomes("nova.listens")
        await page.page.evaluate("unplug()")
        await page.becomes("nova.condition === 'changed' && nova.listens")
        assert "Another microphone" in await page.part("notice").inner_text()
        await page.page.evaluate("window.gone = true; unplug()")
        await page.becomes("nova.condition === 'unplugged' && !nova.listens")
        assert "microphone is gone" in await page.part("notice").inner_text()
        # One may still type, and the button asks for a microphone again.
        assert await page.part("button").get_attribute("aria-label") == "Talk"
        await page.page.evaluate("window.gone = false")
        await page.talk()
        await page.becomes("nova.listens")
        await page.part("notice").wait_for(state="hidden")


async def test_a_tab_in_the_background_and_a_network_that_is_away_are_said_while_they_last(site, visit):
    async with visit(site, microphone=None, path="/element/one/") as page:
        await page.type("Hello")
        await page.until("events.some(e => e.type === 'turn_ended')")
        await page.page.context.set_offline(True)
        await page.part("notice").wait_for()
        assert "offline" in await page.part("notice").inner_text()
        await page.page.context.set_offline(False)
        await page.part("notice").wait_for(state="hidden")
        for hidden in ("true", "false"):
            await page.page.evaluate(
                f"""() => {{
                  Object.defineProperty(document, "hidden", {{ value: {hidden}, configurable: true }});
                  document.dispatchEvent(new Event("visibilitychange"));
                }}"""
            )
            await page.becomes(f"(nova.condition === 'hidden') === {hidden}")
            assert await page.part("notice").is_visible() is (hidden == "true")


async def test_the_stop_button_ends_what_is_still_connecting(site, visit):
    async with visit(site, path="/element/one/") as page:
        await page.page.evaluate(
            "void (document.querySelector('nova-sonic-talk').choices = () => new Promise(() => {}))"
        )
        await page.talk()
        await page.until("states.at(-1) === 'connecting'")
        assert await page.part("button").get_attribute("aria-label") == "End the conversation"
        await page.talk()
        await page.until("states.at(-1) === 'ended'")
        assert not await page.part("notice").is_visible()
        assert await page.part("state").inner_text() == "Press and talk"


async def test_the_stop_button_takes_back_the_wish_for_a_microphone_that_is_still_asked_for(site, visit):
    async with visit(site, path="/element/one/") as page:
        await page.page.evaluate(
            """() => {
              const real = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
              navigator.permissions.query = async () => ({ state: "prompt" });
              navigator.mediaDevices.getUserMedia = async (wish) => {
                await new Promise((answered) => { window.answer = answered; });
                window.stream = await real(wish);
                return stream;
              };
            }"""
        )
        await page.talk()
        assert await page.part("state").inner_text() == "Connecting…"
        await page.talk()
        assert await page.part("state").inner_text() == "Press and talk"
        await page.page.evaluate("answer()")
        await page.becomes("window.stream?.getTracks().every((track) => track.readyState === 'ended')")
        assert await page.nova("nova.state") == "idle"
        assert not await page.part("notice").is_visible()
        assert opened(page) == []


async def test_a_page_styles_it_from_outside(site, visit):
    async with visit(site, microphone=None, path="/element/one/") as page:
        await page.page.evaluate(
            """() => {
              const sheet = new CSSStyleSheet();
              sheet.replaceSync(`nova-sonic-talk { --novasonic-accent: rgb(1 2 3); --novasonic-button-size: 50px; }
                nova-sonic-talk::part(sample) { display: none; }`);
              document.adoptedStyleSheets = [sheet];
            }"""
        )
        assert await page.part("send").evaluate("part => getComputedStyle(part).backgroundColor") == "rgb(1, 2, 3)"
        assert (await page.part("button").bounding_box())["width"] == 50
        assert not await page.part("sample").is_visible()
