"""The demo site's pages."""

from __future__ import annotations

from django.urls import include, path

from .views import DemoSignInView

urlpatterns = [
    path("", include("novasonic.contrib.django.urls")),
    path("sign-in/", DemoSignInView.as_view(), name="demo-sign-in"),
]
