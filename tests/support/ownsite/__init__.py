"""A site with users, conversations and a database of the records of its own."""
