"""The stock page and its views: ``path("talk/", include("novasonic.contrib.django.urls"))``."""

from __future__ import annotations

from django.urls import path

from .views import CredentialsView, HealthView, MetricsView, ReportView, StatusView, TalkView

app_name = "novasonic"
urlpatterns = [
    path("", TalkView.as_view(), name="talk"),
    path("status/", StatusView.as_view(), name="status"),
    path("health/", HealthView.as_view(), name="health"),
    path("metrics/", MetricsView.as_view(), name="metrics"),
    path("credentials/", CredentialsView.as_view(), name="credentials"),
    path("report/", ReportView.as_view(), name="report"),
]
