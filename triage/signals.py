"""What a case tells those who follow it. Sent inside the transaction of the change."""

from django.dispatch import Signal

case_moved = Signal()
"""A case got another status, or further alerts. sender Case; `case`: the locked row as it stands now."""
