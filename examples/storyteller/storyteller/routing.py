"""The WebSockets of this site: a telling's own, and one for other programs."""

from django.urls import path

from .consumers import Storyteller

websocket_urlpatterns = [
    path("tellings/<int:telling>/ws/", Storyteller.as_asgi()),
    path("api/nova-sonic/stream", Storyteller.as_asgi()),
]
