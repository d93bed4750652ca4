"""Who talks here."""

from novasonic.contrib.django.consumers import NovaSonicConsumer


class Receptionist(NovaSonicConsumer):
    """Replace it by your own."""

    system = "You are a friendly receptionist. Keep each answer under three sentences."
    voice = "tiffany"
