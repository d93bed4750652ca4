"""The one WebSocket of this site."""

from django.urls import path

from .consumers import Storyteller

websocket_urlpatterns = [path("story/ws/", Storyteller.as_asgi())]
