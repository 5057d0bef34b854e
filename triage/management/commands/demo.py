"""`manage.py demo`: the demo's people and scenarios."""

import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from detections.actors import Actor, system
from detections.errors import CasewrightError
from detections.event_store import event_store
from triage import demo


class Command(BaseCommand):
    help = "Make the demo's four people and import the shipped scenarios. Repeating it doubles nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--next-day", action="store_true", help="import one more day of the benign workflow, as of now"
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        actor = system("demo")
        if options["next_day"]:
            self._next_day(actor)
            return
        try:
            demo.make_people(actor=actor)
            for name, summary in demo.import_scenarios(actor=actor, store=event_store()):
                came = f"{summary.new} events, as if they happened now" if summary else "imported before"
                self.stdout.write(f"Scenario {name.removesuffix('.ndjson')}: {came}.")
        except CasewrightError as error:
            raise CommandError(str(error)) from error

    def _next_day(self, actor: Actor) -> None:
        now = timezone.now()
        wait = (demo.next_day_can_end(now=now) - now).total_seconds()
        if wait > 0:
            self.stdout.write(
                f"An exception came into force a moment ago. The day begins after that: wait {wait:.0f} s."
            )
            self.stdout.flush()
            time.sleep(wait)
        try:
            summary = demo.import_next_day(actor=actor, store=event_store())
        except CasewrightError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(
            f"One more day of the benign workflow: {summary.new} events, as if they happened now."
        )
