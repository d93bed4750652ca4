"""The site's own conversations and users."""
