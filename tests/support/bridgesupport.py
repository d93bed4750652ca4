"""Sessions on a core that a test plays by hand."""

from datetime import date

from novasonic import Prices
from novasonic._bridge import Bridge
from novasonic._toolbox import Toolbox
from novasonic.session import Session

PRICES = Prices(as_of=date(2026, 11, 1), speech_in=3.0, text_in=0.33, speech_out=12.0, text_out=2.75)


def open_session(core, *, provider=None, tools=(), close_timeout=0.2, overlap=None):
    toolbox = Toolbox(tools, session_id=core.id)
    bridge = Bridge(core, input_rate=16_000, provider=provider, toolbox=toolbox, overlap=overlap)
    return Session(bridge, input_rate=16_000, close_timeout=close_timeout, prices=PRICES)
