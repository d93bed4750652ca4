"""The storyteller as a listener has it: choose a story, hear it, interrupt it, choose, come back and go on."""

import sqlite3

import pytest
from websupport import ROOT

from novasonic.emulator import Emulator

RATE = 16_000
SECOND = bytes(RATE * 2)
SCREENSHOTS = ROOT / ".build" / "screenshots"
FOX = "The Fox Who Borrowed the Moon"
GULL_POINT = "The Lamp of Gull Point"
SIZES = {"desktop": {"width": 1280, "height": 860}, "phone": {"width": 360, "height": 740}}


@pytest.fixture(scope="module")
def offline_voice():
    with Emulator(brain="voice", record=True) as emulator:
        yield emulator


@pytest.fixture
def site(offline_voice, serve):
    """The storyteller with a database of its own: where a listener stands is kept."""
    with serve(offline_voice, "storyteller") as running:
        yield running


def book(title):
    """Find the way from the shelf to the page to listen on."""

    async def opened(page):
        shelf = page.get_by_role("listitem").filter(has_text=title)
        await shelf.get_by_role("button", name="Open the book").click()

    return opened


def choices(page):
    return page.page.locator("#choices button")


async def offered(page, *expected):
    await page.holds(
        "[...document.querySelectorAll('#choices button:not(.quiet)')].map((b) => b.textContent).join()"
        f" === {','.join(expected)!r}",
    )


def rows(site, query):
    database = sqlite3.connect(site.state / "storyteller.sqlite3")
    try:
        return database.execute(query).fetchall()
    finally:
        database.close()


@pytest.mark.timeout(180)
async def test_a_story_is_chosen_heard_interrupted_steered_listed_and_continued(offline_voice, site, visit, say):
    ask, objection = say("tell me a story"), say("Wait, wait a moment, I have something to ask you about that.")
    microphone = SECOND + ask + SECOND * 9 + objection + SECOND * 30
    async with visit(site, microphone=microphone, begin=book(FOX)) as page:
        inside = page.page
        assert "Offline emulator voice, not Nova" in await inside.locator(".banner").inner_text()
        assert await inside.locator("#where").inner_text() == "4 chapters wait"
        await offered(page, "Tell me a story")
        # Heard.
        await page.talk()
        await page.hears_the_microphone()
        await page.until("events.some(e => e.type === 'tool' && e.name === 'next_chapter' && e.ok)")
        await page.until("heard.filter(h => h.rms > 0.01).length > 40")
        shares = sorted(await page.probe("heard.filter(h => h.rms > 0.01).map(h => h.speechShare)"))
        assert shares[len(shares) // 2] > 0.9
        assert "A fox stands at your window" in await page.part("assistant").first.inner_text()
        await offered(page, "Carry the bucket", "Look into the water")
        assert await inside.locator("#where").inner_text() == "Chapter 1 of 4"
        # Interrupted.
        await page.until("events.some(e => e.type === 'interrupted' && e.source === 'model')", seconds=40)
        await page.until("flushes.length > 0")
        # Steered.
        await choices(page).nth(1).click()
        await page.until("events.some(e => e.type === 'tool' && e.name === 'remember_choice' && e.ok)")
        await offered(page, "Play hide and seek", "Wake the old bridge")
        await inside.get_by_text("You chose to look into the water.").wait_for()
        assert await inside.locator(".lamps .lit").count() == 2
        await page.until("events.some(e => e.type === 'transcript' && /nobody ever asked me/.test(e.text))")
        await page.until("events.some(e => e.type === 'turn_ended' && e.responseMs)", seconds=40)
        await page.until("events.some(e => e.type === 'usage')")
        assert 0 < float((await inside.locator("#latency").inner_text()).removesuffix(" s")) < 20
        assert (await inside.locator("#cost").inner_text()).startswith("$0.")
        # Listed.
        await page.talk()
        await page.until("states.at(-1) === 'ended'")
        await inside.get_by_role("link", name="Told before").click()
        listed = inside.get_by_role("listitem").filter(has_text=FOX)
        assert "You chose to look into the water." in await listed.inner_text()
        await listed.get_by_role("link", name="Read").click()
        await inside.locator(".turns .you").get_by_text("look into the water").wait_for()
        assert "told by Tiffany" in await inside.locator(".evening").inner_text()
        # Continued.
        before = len(offline_voice.streams)
        await inside.get_by_role("link", name="Continue").click()
        await page.watch()
        assert "In the water the moon has a face" in await inside.locator(".open-page").inner_text()
        await offered(page, "Play hide and seek", "Wake the old bridge")
        await inside.get_by_role("button", name="Play hide and seek").click()
        await page.until("events.some(e => e.type === 'transcript' && /The moon hides in a puddle/.test(e.text))")
        await offered(page, "Throw the moon high", "Let the moon choose")
        (stream,) = offline_voice.streams[before:]
        sent = offline_voice.recording(stream.stream_id)
        assert sent.typed[0] == "play hide and seek"
        assert sent.history[0].role == "user"
        told = " ".join(message.text for message in sent.history if message.role == "assistant")
        assert "A fox stands at your window" in told
        assert "In the water the moon has a face" in told
        assert "look into the water" in [message.text for message in sent.history if message.role == "user"]
    assert rows(site, "SELECT count(*) FROM storyteller_telling") == [(1,)]
    assert rows(site, "SELECT count(*) FROM storyteller_sitting") == [(2,)]


@pytest.mark.timeout(120)
async def test_a_spoken_choice_brings_its_chapter_from_the_database(site, visit, say):
    ask, choose = say("tell me a story"), say("knock on the cottage")
    async with visit(site, microphone=SECOND + ask + SECOND * 20 + choose + SECOND * 8, begin=book(GULL_POINT)) as page:
        await page.talk()
        await page.hears_the_microphone()
        await page.until("events.some(e => e.type === 'tool' && e.name === 'next_chapter' && e.ok)")
        (first,) = rows(
            site,
            "SELECT text FROM storyteller_chapter c JOIN storyteller_story s ON s.id = c.story_id"
            f" WHERE number = 1 AND title = '{GULL_POINT}'",
        )
        assert first[0].split(". ")[0] in await page.part("assistant").first.inner_text()
        await page.until("events.some(e => e.type === 'tool' && e.name === 'remember_choice' && e.ok)", seconds=60)
        await page.until("events.filter(e => e.type === 'tool' && e.name === 'next_chapter' && e.ok).length === 2")
        assert rows(
            site,
            "SELECT text, username FROM storyteller_choice c JOIN storyteller_telling t ON t.id = c.telling_id"
            " JOIN auth_user u ON u.id = t.user_id",
        ) == [("knock on the cottage", "demo")]
        # What comes next follows from it.
        await page.until("events.some(e => e.type === 'transcript' && /silver key/.test(e.text))")
        await page.page.reload()
        assert "You chose to knock on the cottage." in await page.page.locator("#path").inner_text()


async def test_by_keys_alone_one_chooses_and_the_focus_stays_among_the_choices(site, visit):
    async with visit(site, microphone=None, begin=book(FOX)) as page:
        for _ in range(30):
            await page.page.keyboard.press("Tab")
            if await page.page.evaluate("document.activeElement.dataset.say === 'tell me a story'"):
                break
        await page.page.keyboard.press("Enter")
        await offered(page, "Carry the bucket", "Look into the water")
        assert await page.page.evaluate("document.activeElement.dataset.say") == "carry the bucket"
        await page.page.keyboard.press("Enter")
        await offered(page, "Wake the old bridge", "Swim through the river")


async def test_another_narrator_takes_the_book_over_and_knows_what_was_told(offline_voice, site, visit):
    async with visit(site, microphone=None, begin=book(FOX)) as page:
        await choices(page).first.click()
        await page.until("events.some(e => e.type === 'transcript' && e.role === 'assistant' && e.final)")
        await page.page.get_by_role("combobox", name="voice").select_option("matthew")
        await page.until("states.at(-1) === 'ended'")
        assert await page.page.get_by_text("Matthew goes on from here.").is_visible()
        before = len(offline_voice.streams)
        await choices(page).first.click()
        await page.until("events.some(e => e.type === 'transcript' && /heavier than you thought/.test(e.text))")
        assert [message["voice"] for _, message in page.sent if message["type"] == "initialize"] == [
            "tiffany",
            "matthew",
        ]
        history = offline_voice.recording(offline_voice.streams[before:][0].stream_id).history
        assert [message.text for message in history if message.role == "user"] == ["tell me a story"]
        await page.reload()
        assert await page.page.get_by_role("combobox", name="voice").input_value() == "matthew"


@pytest.mark.timeout(180)
@pytest.mark.parametrize("scheme", ["dark", "light"])
@pytest.mark.parametrize("kind", SIZES)
async def test_every_page_fits_its_screen_breaks_no_rule_and_is_kept_as_a_picture(site, visit, axe, kind, scheme):
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)

    async def look(page, name):
        await page.wait_for_load_state("networkidle")
        await page.evaluate("document.fonts.ready")
        await page.screenshot(path=SCREENSHOTS / f"storyteller-{name}-{kind}-{scheme}.png", full_page=True)
        # Nothing sticks out to the side, covers have come.
        assert await page.evaluate("document.documentElement.scrollWidth") <= SIZES[kind]["width"], name
        assert await page.evaluate("[...document.images].every((image) => image.naturalWidth > 0)"), name
        await page.evaluate(axe)
        result = await page.evaluate("axe.run()")
        assert len(result["passes"]) > 10
        assert [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in result["violations"]] == [], name

    async def begin(page):
        await look(page, "shelf")
        await book(FOX)(page)

    async def dress(page):
        await page.set_viewport_size(SIZES[kind])
        await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")

    async def come_in(page):
        await dress(page)
        await begin(page)

    async with visit(site, microphone=None, begin=come_in) as page:
        inside = page.page
        await look(inside, "telling-begins")
        await choices(page).first.click()
        await page.until("heard.filter(h => h.rms > 0.01).length > 100")
        await choices(page).nth(1).click()
        await offered(page, "Play hide and seek", "Wake the old bridge")
        told = "e.type === 'transcript' && e.turn === 2 && e.role === 'assistant' && e.final"
        await page.until(f"events.filter(e => {told}).length > 1", seconds=40)
        await look(inside, "telling")
        await page.until("events.filter(e => e.type === 'turn_ended').length === 2", seconds=40)
        await inside.get_by_role("link", name="Told before").click()
        await inside.wait_for_url("**/tellings/")
        await look(inside, "history")
        await inside.get_by_role("link", name="Read").click()
        await inside.wait_for_url("**/read/")
        await look(inside, "reading")
        await inside.get_by_role("link", name="Continue").click()
        await page.watch()
        await look(inside, "telling-continued")
        await inside.context.clear_cookies()
        await inside.goto(f"http://localhost:{site.port}/")
        await look(inside, "door")
