"""The site's addresses."""

from django.contrib import admin
from django.contrib.auth.views import LoginView, LogoutView
from django.urls import include, path
from django.views.generic import RedirectView

from .consumers import Receptionist

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="novasonic:talk")),
    path("talk/", include("novasonic.contrib.django.urls")),
    path("accounts/login/", LoginView.as_view(), name="login"),
    path("accounts/logout/", LogoutView.as_view(), name="logout"),
    path("admin/", admin.site.urls),
]
websocket_urlpatterns = [path("novasonic/ws/", Receptionist.as_asgi())]
