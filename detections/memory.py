"""How much memory the processes hold: each says so of itself, beside its signs of life."""

import os
import socket
from datetime import timedelta
from pathlib import Path

from django.utils import timezone

from detections import heartbeat
from detections.models import Heartbeat

PREFIX = "memory:"
STATM = Path("/proc/self/statm")
FRESH = timedelta(minutes=5)
KEPT = timedelta(days=1)


def resident() -> int | None:
    """Bytes that this process holds now; None where the system does not tell."""
    try:
        return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None


def note(kind: str) -> None:
    """Write down what this process holds. kind: worker, beat."""
    held = resident()
    if held is not None:
        heartbeat.beat(f"{PREFIX}{kind}@{socket.gethostname()}"[:100], str(held))
    Heartbeat.objects.filter(name__startswith=PREFIX, seen_at__lt=timezone.now() - KEPT).delete()


def noted() -> dict[str, int]:
    """What processes said in the last minutes: bytes by `kind@host`."""
    rows = Heartbeat.objects.filter(name__startswith=PREFIX, seen_at__gt=timezone.now() - FRESH)
    return {row.name.removeprefix(PREFIX): int(row.detail) for row in rows if row.detail.isdecimal()}
