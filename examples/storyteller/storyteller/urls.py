"""The cover, the page to talk on, and what programs ask."""

from django.urls import path

from novasonic.contrib.django.demo.views import DemoSignInView
from novasonic.contrib.django.views import CredentialsView, HealthView, StatusView

from .views import StoryView

urlpatterns = [
    path("", StoryView.as_view(), name="story"),
    # A site of your own signs its users in by django.contrib.auth.urls instead.
    path(
        "sign-in/",
        DemoSignInView.as_view(template_name="storyteller/cover.html", next_page="story"),
        name="sign-in",
    ),
    # Addresses of this site's own choice; ``include("novasonic.contrib.django.urls")`` mounts all at once.
    path("api/nova-sonic/status", StatusView.as_view(), name="status"),
    path("api/nova-sonic/health", HealthView.as_view(), name="health"),
    path("api/aws-credentials/", CredentialsView.as_view(), name="credentials"),
]
