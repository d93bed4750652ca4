"""Django Channels integration: a voice consumer, its browser wire, and a stock page.

Add ``novasonic.contrib.django`` to ``INSTALLED_APPS`` and route ``routing.websocket_urlpatterns``.
"""
