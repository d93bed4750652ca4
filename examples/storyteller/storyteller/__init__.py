"""A storyteller one can talk to: a Django site of one page."""
