"""`manage.py exceptions`: exceptions from and to Kibana."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError

from detections.actors import NotPermittedError, of_user, system
from detections.models import Rule
from triage.exception_items.exchange import ImportedItems, export_items, import_items
from triage.exception_items.kibana_entries import lines_of
from triage.models import ExceptionItem


class Command(BaseCommand):
    help = "Draft exceptions from an export of Kibana's exception lists, or write such an export."

    def add_arguments(self, parser: ArgumentParser) -> None:
        ways = parser.add_subparsers(dest="way", required=True)
        importing = ways.add_parser("import", help="draft the items of an export; nothing is hidden by that")
        importing.add_argument(
            "files", nargs="+", metavar="FILE", type=Path, help="NDJSON, with or without rules"
        )
        importing.add_argument(
            "--as", required=True, dest="name", metavar="NAME", help="whose drafts they are"
        )
        importing.add_argument(
            "--rule", metavar="ID", help="their rule, if no rule names the list (its rule_id)"
        )
        exporting = ways.add_parser("export", help="write items as Kibana's NDJSON to standard output")
        exporting.add_argument("--rule", metavar="ID", help="the items of this rule alone (its rule_id)")

    def handle(self, *_args: Any, **options: Any) -> None:
        rule = _rule(options["rule"]) if options["rule"] else None
        if options["way"] == "export":
            self._export(rule)
        else:
            self._import(options["files"], options["name"], rule)

    def _import(self, files: list[Path], name: str, rule: Rule | None) -> None:
        user = User.objects.filter(username=name).first()
        if user is None:
            raise CommandError(f"There is no account {name!r}.")
        try:
            lines = [line for file in files for line in lines_of(file.read_bytes())]
            done = import_items(lines, actor=of_user(user), rule=rule)
        except (NotPermittedError, OSError) as error:
            raise CommandError(str(error)) from error
        self._say(done)

    def _say(self, done: ImportedItems) -> None:
        for note in dict.fromkeys(note for one in done.drafted for note in one.notes):
            self.stdout.write(f"Note: {note}")
        for one in done.refused:
            self.stderr.write(f"Refused: {one.name}: {one.reason}")
        self.stdout.write(
            f"{len(done.drafted)} drafted, {len(done.known)} here already, {len(done.refused)} refused. "
            "A draft hides nothing: back-test it, propose it, and have another person approve it."
        )

    def _export(self, rule: Rule | None) -> None:
        items = ExceptionItem.objects.select_related("rule").order_by("pk")
        done = export_items(items.filter(rule=rule) if rule else items, actor=system("export of exceptions"))
        for line in done.lines:
            self.stdout.write(line)
        for one in done.refused:
            self.stderr.write(f"Not exported: {one.name}: {one.reason}")


def _rule(rule_id: str) -> Rule:
    found = Rule.objects.filter(rule_id=rule_id).select_related("current").first()
    if found is None:
        raise CommandError(f"There is no rule {rule_id!r}.")
    return found
