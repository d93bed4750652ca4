"""The page to talk on."""

import os
from typing import Any
from urllib.parse import urlsplit

from django.contrib.auth.mixins import LoginRequiredMixin
from django.http import HttpRequest, HttpResponse
from django.views.generic import TemplateView

from novasonic.contrib.django.conf import ENDPOINT_VARIABLE, get_settings


class DirectView(LoginRequiredMixin, TemplateView):
    """Show it under a policy that lets it run no script but its own, and send to nobody but this site and the service.

    Keys that a page holds can be read by whatever runs in it: this is what there is against that.
    """

    template_name = "direct/talk.html"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Answer with the policy."""
        response = super().get(request, *args, **kwargs)
        response["Content-Security-Policy"] = (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; base-uri 'none'; "
            f"form-action 'self'; connect-src 'self' wss://{urlsplit(_endpoint()).netloc}; frame-ancestors 'none'"
        )
        return response

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add ``endpoint``: empty, or the address of an emulator that the page is to talk to."""
        return super().get_context_data(endpoint=os.environ.get(ENDPOINT_VARIABLE, ""), **kwargs)


def _endpoint() -> str:
    return os.environ.get(ENDPOINT_VARIABLE) or f"https://bedrock-runtime.{get_settings().region}.amazonaws.com"
