"""A site whose page talks to AWS by itself: it hands out keys, and keeps what the page says was said."""
