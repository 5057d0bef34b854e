"""`manage.py sign_in_link NAME...`: one-time links for accounts, from whoever has the machine."""

from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError
from django.urls import reverse

from detections.actors import system
from triage import access
from triage.errors import TriageError


class Command(BaseCommand):
    help = "Print a link that signs an account in, once, within 12 hours."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("names", nargs="+", metavar="NAME", help="user name of an account")
        parser.add_argument("--address", default="http://127.0.0.1:8000/", help="where Casewright is reached")

    def handle(self, *_args: Any, names: list[str], address: str, **_options: Any) -> None:
        users = {user.get_username(): user for user in User.objects.filter(username__in=names)}
        if unknown := [name for name in names if name not in users]:
            raise CommandError(
                f"No account is called {', '.join(unknown)}. The admin page lists the accounts."
            )
        for name in names:
            try:
                token = access.issue(users[name], actor=system("command line"))
            except TriageError as refused:
                raise CommandError(str(refused)) from refused
            link = address.rstrip("/") + reverse("sign_in_once", args=[token])
            self.stdout.write(f"{name:<10}{users[name].get_full_name():<18}{link}")
