"""`manage.py check_invariants`: does everything hold that must?"""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from detections import invariants


class Command(BaseCommand):
    help = "Check what must always hold: alerts, coverage, journal, outbox, runs. Ends with 1 if not."

    def handle(self, *_args: Any, **_options: Any) -> None:
        found = list(invariants.broken())
        for line in found:
            self.stderr.write(line)
        if found:
            raise CommandError(f"Invariants are violated, {len(found)} times.")
        self.stdout.write(f"{len(invariants.CHECKS)} invariants hold.")
