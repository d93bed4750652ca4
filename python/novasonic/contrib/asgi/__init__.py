"""Voice conversations of pages for any ASGI server: no Django, no Channels needed."""
