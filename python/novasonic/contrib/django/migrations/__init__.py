"""The tables of the records."""
