"""`manage.py check_invariants`: does everything hold that must?"""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from detections import invariants


class Command(BaseCommand):
    help = "Check what must always hold, over database and store; a line each. Ends with 1 if one does not."

    def handle(self, *_args: Any, **_options: Any) -> None:
        bad: list[str] = []
        for result in invariants.results():
            held = result.invariant
            bad += result.faults
            state = f"BROKEN {len(result.faults)} times" if result.faults else "holds"
            self.stdout.write(f"{held.number:<4}{held.says}: {state}")
            for fault in result.faults:
                self.stderr.write(f"     {fault}")
        if bad:
            raise CommandError(f"Invariants are violated, {len(bad)} times.")
        self.stdout.write(f"{len(invariants.registered())} invariants hold.")
