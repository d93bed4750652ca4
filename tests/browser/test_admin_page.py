"""The admin as a browser shows it; what it looked like is kept in ``.build/screenshots``."""

import sqlite3
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
from chromium import CHROMIUM
from playwright.async_api import async_playwright
from websupport import ROOT, running_site

from novasonic.emulator import Emulator

SCREENSHOTS = ROOT / ".build" / "screenshots"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    state = tmp_path_factory.mktemp("staff")
    here = Path(__file__).parent
    path = f"{here}:{ROOT / 'tests' / 'support'}"
    with (
        Emulator() as emulator,
        running_site("staff_site:application", emulator, state=state, path=path, settings="staff_settings") as running,
    ):
        running.state = state
        yield running


@asynccontextmanager
async def signed_in(site):
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, headless=True)
        try:
            page = await browser.new_page(viewport={"width": 1280, "height": 800})
            complaints = []
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.on("response", lambda answer: complaints.append(answer.url) if answer.status >= 400 else None)
            await page.goto(f"http://localhost:{site.port}/admin/")
            await page.fill("#id_username", "grace")
            await page.fill("#id_password", "for tests")
            await page.click("input[type=submit]")
            yield page
            assert not complaints
        finally:
            await browser.close()


async def keep(page, name):
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    await page.screenshot(path=SCREENSHOTS / f"admin-{name}.png", full_page=True)


def accesses(site):
    with closing(sqlite3.connect(site.state / "staff.sqlite3")) as database:
        return [action for (action,) in database.execute("SELECT action FROM novasonic_accessrecord ORDER BY id")]


async def test_staff_find_read_hear_and_hang_up_a_conversation(site):
    async with signed_in(site) as page:
        await page.click("text=Conversations")
        await page.wait_for_selector("#result_list tbody tr:nth-child(2)")
        await keep(page, "conversations")
        assert "table for two" not in await page.content()

        await page.fill("#searchbar", "ada")
        await page.press("#searchbar", "Enter")
        await page.wait_for_selector("#result_list tbody tr:only-child")
        await page.click("#result_list tbody th a")
        await page.wait_for_selector("text=Cost by turn")
        await keep(page, "conversation")
        assert await page.locator("text=Hang up").count() == 0
        assert accesses(site) == []

        await page.click("text=What was said")
        await page.wait_for_selector("text=Do you have a table for two?")
        assert accesses(site) == ["read"]
        seconds = await page.evaluate(
            """async () => {
                const sound = document.querySelector("audio");
                sound.muted = true;
                await sound.play();
                return sound.duration;
            }"""
        )
        assert seconds == pytest.approx(2.0, abs=0.1)
        await keep(page, "transcript")
        assert accesses(site) == ["read", "listened"]

        await page.goto(f"http://localhost:{site.port}/admin/novasonic/conversation/?running=yes")
        await page.click("#result_list tbody th a")
        await page.click("text=Hang up")
        await page.wait_for_selector(".messagelist")
        await keep(page, "hang-up")
        assert accesses(site)[-1] == "hung_up"

        await page.goto(f"http://localhost:{site.port}/admin/novasonic/accessrecord/")
        await page.wait_for_selector("#result_list tbody tr")
        await keep(page, "audit")
