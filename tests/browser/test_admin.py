"""What staff see of conversations, and how they end one. The screenshots stay in .build/screenshots/."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from websupport import ROOT

from novasonic.emulator import Emulator

SCREENSHOTS = ROOT / ".build" / "screenshots" / "admin"
CHIEF, PASSWORD = "chief", "correct horse battery staple"


@pytest.fixture(scope="module")
def office(serve):
    with Emulator(brain="parrot", speed=4) as parrot, serve(parrot, "office") as site:
        environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "office_site",
            "DJANGO_SUPERUSER_PASSWORD": PASSWORD,
            "NOVASONIC_DEMO_STATE": str(site.state),
            "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]),
        }
        create = ["createsuperuser", "--noinput", "--username", CHIEF, "--email", "chief@example.org"]
        subprocess.run([sys.executable, "-m", "django", *create], env=environment, check=True, timeout=60)
        yield site


class Desk:
    """A member of staff at the admin, in a browser session of their own."""

    def __init__(self, page, site):
        self.page, self.site = page, site
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)

    async def sign_in(self):
        await self.page.goto(f"{self.site.origin}/admin/")
        await self.page.fill("#id_username", CHIEF)
        await self.page.fill("#id_password", PASSWORD)
        await self.page.click("input[type=submit]")

    async def shows(self, name, *texts):
        shown = await self.page.inner_text("body")
        assert [text for text in texts if text not in shown] == []
        await self.page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)


@pytest.mark.timeout(120)
async def test_staff_read_what_was_said_hear_it_and_hang_up(office, visit):
    async with visit(office) as caller:
        await caller.part("text").fill("Good evening")
        await caller.part("text").press("Enter")
        await caller.until("events.some(e => e.type === 'turn_ended')")
        context = await caller.page.context.browser.new_context()
        desk = Desk(await context.new_page(), office)
        await desk.sign_in()
        await desk.page.click("text=Conversations")
        await desk.shows("list", "demo", "Recorded")
        await desk.page.click("#result_list tbody tr:first-child th a")
        await desk.shows("conversation", "Recorded", "Cost by turn")
        await desk.page.click("text=What was said")
        await desk.shows("transcript", "Good evening")
        assert await desk.page.locator("audio").count() == 1
        await desk.page.go_back()
        await desk.page.click("input[name=_hang_up]")
        await caller.until("events.some(e => e.type === 'closed')")
        await desk.shows("hung-up")
        await desk.page.goto(f"{office.origin}/admin/novasonic/accessrecord/")
        await desk.shows("audit", CHIEF, "read", "hung up")
        await context.close()


@pytest.mark.timeout(120)
async def test_who_may_not_read_what_was_said_is_not_shown_the_way(office, visit):
    async with visit(office) as caller:
        # The caller is signed in, and no member of staff.
        await caller.page.goto(f"{office.origin}/admin/novasonic/conversation/")
        assert "/admin/login/" in caller.page.url
