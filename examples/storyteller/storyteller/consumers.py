"""Who one talks to."""

from novasonic.contrib.django.consumers import NovaSonicConsumer


class Storyteller(NovaSonicConsumer):
    """Tell stories and let the listener steer them."""

    system = (
        "You are a warm storyteller. Tell the listener a short story of their choice, a few sentences at a time, "
        "and ask now and then how it should go on. When you are interrupted, follow the listener's wish."
    )
    voice = "tiffany"
