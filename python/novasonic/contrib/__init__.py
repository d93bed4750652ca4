"""Integrations with frameworks; each needs its own extra."""
