"""The pages, and what programs ask."""

from django.urls import path

from novasonic.contrib.django.demo.views import DemoSignInView
from novasonic.contrib.django.views import CredentialsView, HealthView, StatusView

from . import views

urlpatterns = [
    path("", views.ShelfView.as_view(), name="shelf"),
    path("stories/<int:pk>/cover.svg", views.CoverView.as_view(), name="cover"),
    path("stories/<int:pk>/begin/", views.BeginView.as_view(), name="begin"),
    path("tellings/", views.HistoryView.as_view(), name="history"),
    path("tellings/<int:pk>/", views.TellingView.as_view(), name="telling"),
    path("tellings/<int:pk>/standing/", views.StandingView.as_view(), name="standing"),
    path("tellings/<int:pk>/read/", views.ReadingView.as_view(), name="reading"),
    # A site of your own signs its users in by django.contrib.auth.urls instead.
    path(
        "sign-in/",
        DemoSignInView.as_view(template_name="storyteller/sign_in.html", next_page="shelf"),
        name="sign-in",
    ),
    # Addresses of this site's own choice; ``include("novasonic.contrib.django.urls")`` mounts all at once.
    path("api/nova-sonic/status", StatusView.as_view(), name="status"),
    path("api/nova-sonic/health", HealthView.as_view(), name="health"),
    path("api/aws-credentials/", CredentialsView.as_view(), name="credentials"),
]
