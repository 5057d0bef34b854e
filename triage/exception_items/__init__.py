"""Exceptions: what was confirmed, by whom, until when, what it hides, and whether it still holds."""
