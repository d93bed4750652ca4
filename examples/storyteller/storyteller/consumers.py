"""Who one talks to."""

from novasonic.contrib.django.consumers import NovaSonicConsumer

from .tools import next_chapter, remember_choice


class Storyteller(NovaSonicConsumer):
    """Tell the stories of the database and let the listener steer them."""

    system = (
        "You are a warm storyteller. Tell the story that next_chapter gives you, chapter by chapter and no other, and "
        "ask at each end which of its choices the listener takes. Once they decide, call remember_choice, then "
        "next_chapter. When you are interrupted, follow the listener's wish."
    )
    voice = "tiffany"
    tools = (next_chapter, remember_choice)
