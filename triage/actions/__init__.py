"""Ways to act on other systems, one adapter a file. Importing this package registers them."""

from triage.actions import blocklist, command, elastic_defend, manual, message, webhook

__all__ = ["blocklist", "command", "elastic_defend", "manual", "message", "webhook"]
