"""What staff see of a conversation that goes on, and how they end it. Screenshots stay in .build/screenshots/."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from websupport import ROOT

from novasonic.emulator import Emulator

SCREENSHOTS = ROOT / ".build" / "screenshots"
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


async def at_the_desk(caller, site):
    """Sign a member of staff in to the admin, in a browser session of their own."""
    context = await caller.page.context.browser.new_context()
    page = await context.new_page()
    await page.goto(f"{site.origin}/admin/novasonic/conversation/")
    await page.fill("#id_username", CHIEF)
    await page.fill("#id_password", PASSWORD)
    await page.click("input[type=submit]")
    return page


async def ask(caller, text):
    await caller.part("text").fill(text)
    await caller.part("text").press("Enter")
    await caller.until("events.some(e => e.type === 'turn_ended')")


@pytest.mark.timeout(120)
async def test_staff_read_what_is_being_said_and_hang_up(office, visit):
    async with visit(office) as caller:
        await ask(caller, "Good evening")
        desk = await at_the_desk(caller, office)
        await desk.click("#result_list tbody tr:first-child th a")
        await desk.click("text=What was said")
        assert "Good evening" in await desk.inner_text("body")
        await desk.screenshot(path=SCREENSHOTS / "admin-live-transcript.png", full_page=True)
        await desk.go_back()
        await desk.click("input[name=_hang_up]")
        await caller.until("events.some(e => e.code === 'hung_up')")
        await desk.context.close()


@pytest.mark.timeout(120)
async def test_who_is_no_staff_is_not_let_in(office, visit):
    async with visit(office) as caller:
        await caller.page.goto(f"{office.origin}/admin/novasonic/conversation/")
        assert "/admin/login/" in caller.page.url


@pytest.mark.timeout(120)
async def test_a_worker_is_drained_by_a_button(office, visit):
    # The last of this module: a process that was drained stays so.
    async with visit(office) as caller:
        await ask(caller, "Good evening")
        desk = await at_the_desk(caller, office)
        await desk.click("text=Workers")
        await desk.screenshot(path=SCREENSHOTS / "admin-workers.png", full_page=True)
        await desk.click("text=Drain")
        await caller.until("states.includes('reconnecting')")
        await desk.wait_for_selector("text=takes no new conversations")
        await desk.goto(f"{office.origin}/admin/novasonic/accessrecord/")
        assert "worker drained" in await desk.inner_text("body")
        await desk.context.close()
