"""The page, the keys, and where it reports."""

from django.urls import path

from novasonic.contrib.django.demo.views import DemoSignInView
from novasonic.contrib.django.views import CredentialsView, ReportView

from .views import DirectView

urlpatterns = [
    path("", DirectView.as_view(), name="talk"),
    # A site of your own signs its users in by django.contrib.auth.urls instead.
    path(
        "sign-in/",
        DemoSignInView.as_view(template_name="direct/sign_in.html", next_page="talk"),
        name="sign-in",
    ),
    path("credentials/", CredentialsView.as_view(), name="credentials"),
    path("report/", ReportView.as_view(), name="report"),
]
