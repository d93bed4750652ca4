"""What the application asks for."""

from django.conf import settings
from django.urls import path
from django.views.generic import RedirectView

from .views import ConversationsView, SignInView, StoriesView, TicketView

urlpatterns = [
    # `novasonic demo` opens a browser here.
    path("", RedirectView.as_view(url=settings.REACT_ORIGINS[0])),
    path("sign-in/", SignInView.as_view()),
    path("ticket/", TicketView.as_view()),
    path("stories/", StoriesView.as_view()),
    path("stories/<slug:story>/conversations/", ConversationsView.as_view()),
]
