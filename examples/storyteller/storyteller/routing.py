"""The WebSocket of this site, at the page's own address and at one for other programs."""

from django.urls import path

from .consumers import Storyteller

websocket_urlpatterns = [
    path("story/ws/", Storyteller.as_asgi()),
    path("api/nova-sonic/stream", Storyteller.as_asgi()),
]
