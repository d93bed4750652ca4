"""The application's commands, one module for each."""
