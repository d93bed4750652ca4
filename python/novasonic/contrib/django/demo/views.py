"""A sign-in of one click, for demos only: whoever reaches the page may talk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib.auth import get_user_model, login
from django.shortcuts import redirect
from django.views.generic import TemplateView

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

DEMO_USER = "demo"


class DemoSignInView(TemplateView):
    """Sign the visitor in as the shared demo user, who has no password and no rights."""

    template_name = "novasonic/demo_sign_in.html"
    next_page = "novasonic:talk"

    def post(self, request: HttpRequest) -> HttpResponse:
        """Sign in and go on to the page to talk on."""
        user, created = get_user_model().objects.get_or_create(username=DEMO_USER)
        if created:
            user.set_unusable_password()
            user.save()
        login(request, user, backend="django.contrib.auth.backends.ModelBackend")
        return redirect(self.next_page)
