"""HTTP alone: the voice goes from the page to AWS."""

import os

from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "direct.settings")
# Serves static files itself, so that one process is the whole site; a web server does that in production.
application = ASGIStaticFilesHandler(get_asgi_application())
