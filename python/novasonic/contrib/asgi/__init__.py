"""What a page's conversation needs on any ASGI server, without Django and without Channels."""
