"""The page under the rules of a site in production."""

import re

from novasonic.emulator import Emulator

SECOND = bytes(32_000)
HASHED = re.compile(r"/static/.+\.[0-9a-f]{12}\.\w+$")


async def test_the_page_talks_under_a_strict_policy_and_hashed_names(serve, visit, say):
    with Emulator(brain="parrot") as emulator, serve(emulator, "policy") as site:
        # The fixture wants an empty console at the end: Chromium writes there whatever it refused.
        async with visit(site, microphone=SECOND + say("Hello there.") + SECOND * 6) as page:
            answer = await page.reload()
            assert answer.headers["content-security-policy"].startswith("default-src 'self';")
            await page.talk()
            await page.hears_the_microphone()
            await page.until("states.includes('speaking')")
            await page.until("events.some(e => e.type === 'turn_ended')", seconds=40)
            asked = (site.state / "asked.txt").read_text().splitlines()
            parts = [path for path in asked if path.startswith("/static/")]
            assert [path for path in parts if not HASHED.search(path)] == []
            # Worklets and what they import among them.
            assert {"element", "captions", "capture-worklet", "playback-worklet", "resampler", "playout", "wire"} <= {
                path.rsplit("/", 1)[1].split(".")[0] for path in parts
            }
            # A policy that was not in force would prove nothing.
            refused = await page.page.evaluate(
                "fetch('https://elsewhere.example/').then(() => 'went', (error) => error.name)"
            )
            assert refused == "TypeError"
            assert any("elsewhere.example" in line for line in page.console)
            page.console.clear()
