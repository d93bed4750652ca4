"""The cover and the page to talk on."""

from django.urls import path

from novasonic.contrib.django.demo.views import DemoSignInView
from novasonic.contrib.django.views import TalkView

urlpatterns = [
    path(
        "",
        TalkView.as_view(template_name="storyteller/story.html", socket_path="story/ws/", title="The Storyteller"),
        name="story",
    ),
    # A site of your own signs its users in by django.contrib.auth.urls instead.
    path(
        "sign-in/",
        DemoSignInView.as_view(template_name="storyteller/cover.html", next_page="story"),
        name="sign-in",
    ),
]
