"""Preserve: what the guide wants kept, and the case pack, one file that proves itself."""
