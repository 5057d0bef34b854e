"""`manage.py prepare`: bring the database and the shipped rules up to this version."""

from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = "Migrate the database and load the shipped rules. Repeating it changes nothing."

    def handle(self, *_args: Any, **_options: Any) -> None:
        call_command("migrate", interactive=False, verbosity=0)
        call_command("load_rules", shipped=True)
