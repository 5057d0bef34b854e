"""`manage.py prepare`: bring the database and the shipped rules up to this version."""

from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand

from detections import health, heartbeat
from detections.actors import system
from detections.rule_loading import SHIPPED, load_rules


class Command(BaseCommand):
    help = "Migrate the database and load the shipped rules, new ones enabled. Repeating it changes nothing."

    def handle(self, *_args: Any, **_options: Any) -> None:
        call_command("migrate", interactive=False, verbosity=0)
        heartbeat.beat(health.START)
        loaded = load_rules([SHIPPED], actor=system("prepare"), enable_new=True, shipped=True)
        for error in loaded.errors:
            self.stderr.write(f"This rule is not loaded, the others are.\n{error}")
        for warning in loaded.warnings:
            self.stderr.write(warning)
        changed = len(loaded.new) + len(loaded.updated)
        self.stdout.write(f"Shipped rules: {len(loaded.rules)}, of them {changed} new or changed.")
