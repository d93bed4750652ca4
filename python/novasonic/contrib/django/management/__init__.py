"""The application's commands."""
