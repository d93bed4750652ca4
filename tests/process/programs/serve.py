"""An echo emulator in a process of its own, until its standard input ends."""

import json
import sys

from novasonic.emulator import Emulator

with Emulator(brain="echo") as emulator:
    print(json.dumps({"url": emulator.url, "ca_bundle": emulator.ca_bundle}), flush=True)
    sys.stdin.read()
