"""`manage.py sender_token`: who may send events to the live door."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from detections.actors import system
from detections.door import tokens
from detections.errors import CasewrightError
from detections.models import SenderToken

ACTOR = system("sender_token command")


class Command(BaseCommand):
    help = "Make, list and revoke the tokens with which Beats, Elastic Agent and Logstash send events here."

    def add_arguments(self, parser: ArgumentParser) -> None:
        does = parser.add_subparsers(dest="does", required=True)
        create = does.add_parser("create", help="make a token and show it, once")
        create.add_argument("name", metavar="NAME", help="the sender's name, as the journal will give it")
        create.add_argument(
            "--data-streams",
            default=tokens.EVERYTHING,
            metavar="PATTERNS",
            help="what it may write to, with commas between, such as 'logs-*,winlogbeat-*' (default: all)",
        )
        does.add_parser("list", help="all tokens, without their keys")
        revoke = does.add_parser("revoke", help="refuse a sender from now on")
        revoke.add_argument("name", metavar="NAME")

    def handle(self, *_args: Any, does: str, **options: Any) -> None:
        try:
            if does == "create":
                self._create(options["name"], options["data_streams"])
            elif does == "revoke":
                self._revoke(options["name"])
            else:
                self._list()
        except CasewrightError as error:
            raise CommandError(str(error)) from error

    def _create(self, name: str, patterns: str) -> None:
        wanted = [part.strip() for part in patterns.split(",") if part.strip()]
        made = tokens.create_token(name, actor=ACTOR, data_streams=wanted or [tokens.EVERYTHING])
        self.stdout.write(
            f"Token of {name}. The key is shown this once; only its SHA-256 is kept.\n\n"
            f'Beats, Elastic Agent, Logstash   api_key: "{made.api_key}"\n'
            f"HTTP header                      Authorization: ApiKey {made.encoded}\n"
            f"Bearer token                     Authorization: Bearer {made.key}\n"
            f"User name and password           {name} / {made.key}\n\n"
            "Senders need the address of this server with /send behind it; docs/sending.md shows each "
            "client's settings."
        )

    def _list(self) -> None:
        rows = list(SenderToken.objects.visible_to(ACTOR))
        if not rows:
            self.stdout.write("No sender has a token. Make one: manage.py sender_token create NAME")
        for row in rows:
            state = f"revoked {row.revoked_at:%Y-%m-%d %H:%M}" if row.revoked_at else "in use"
            used = f"{row.last_used_at:%Y-%m-%d %H:%M}" if row.last_used_at else "never"
            self.stdout.write(
                f"{row.name}  id {row.key_id}  {state}  last used {used}  "
                f"events {row.events_received:,}  writes to {', '.join(row.data_streams)}"
            )

    def _revoke(self, name: str) -> None:
        token = tokens.in_use(name, actor=ACTOR).first()
        if token is None:
            raise CommandError(f"{name} has no token in use. manage.py sender_token list shows all.")
        tokens.revoke_token(token, actor=ACTOR, reason="on the command line")
        self.stdout.write(f"{name} is refused from now on.")
