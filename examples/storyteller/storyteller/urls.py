"""The cover and the page to talk on."""

from django.urls import path

from novasonic.contrib.django.demo.views import DemoSignInView

from .views import StoryView

urlpatterns = [
    path("", StoryView.as_view(), name="story"),
    # A site of your own signs its users in by django.contrib.auth.urls instead.
    path(
        "sign-in/",
        DemoSignInView.as_view(template_name="storyteller/cover.html", next_page="story"),
        name="sign-in",
    ),
]
