"""The stock page: ``path("talk/", include("novasonic.contrib.django.urls"))``."""

from __future__ import annotations

from django.urls import path

from .views import TalkView

app_name = "novasonic"
urlpatterns = [path("", TalkView.as_view(), name="talk")]
