"""Signs of life of the processes, for the health page."""

from django.utils import timezone

from detections.models import Heartbeat


def beat(name: str, detail: str = "") -> None:
    """A process did work just now."""
    Heartbeat.objects.update_or_create(
        name=name, defaults={"detail": detail[:500], "seen_at": timezone.now()}
    )
