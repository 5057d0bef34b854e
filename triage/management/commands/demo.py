"""`manage.py demo`: the demo's people and scenarios."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from detections.actors import system
from detections.errors import CasewrightError
from detections.event_store import event_store
from triage import demo


class Command(BaseCommand):
    help = "Make the demo's four people and import the shipped scenarios. Repeating it doubles nothing."

    def handle(self, *_args: Any, **_options: Any) -> None:
        actor = system("demo")
        try:
            demo.make_people(actor=actor)
            for name, summary in demo.import_scenarios(actor=actor, store=event_store()):
                came = f"{summary.new} events, as if they happened now" if summary else "imported before"
                self.stdout.write(f"Scenario {name.removesuffix('.ndjson')}: {came}.")
        except CasewrightError as error:
            raise CommandError(str(error)) from error
