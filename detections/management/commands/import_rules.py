"""`manage.py import_rules`: see what published rules would change, then import them."""

import sys
from argparse import ArgumentParser
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from detections import rule_import
from detections.actors import system
from detections.hunt.lines import escaped, printable
from detections.rule_import import Entry, Preview


class Command(BaseCommand):
    help = (
        "Import rules as Elastic publishes and Kibana exports them: TOML, NDJSON, folders, tar archives. "
        "Shows what would change, asks, then stores all of it or nothing. New rules arrive disabled. "
        "Ends with 1 if anything was refused."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("paths", nargs="+", metavar="PATH", type=Path, help="a file, folder or archive")
        way = parser.add_mutually_exclusive_group()
        way.add_argument("--yes", action="store_true", help="import without asking")
        way.add_argument("--preview", action="store_true", help="show what would change, and stop")

    def handle(self, *_args: Any, paths: list[Path], yes: bool, **options: Any) -> None:
        actor = system("import_rules command")
        found = rule_import.preview(paths, actor=actor)
        self._show(found)
        if not found.wanted and not found.offers:
            self.stdout.write("Nothing to import.")
        elif yes or (not options["preview"] and self._is_wanted(len(found.wanted))):
            done = rule_import.apply(found, actor=actor)
            for warning in done.warnings:
                self.stderr.write(printable(f"Warning: {warning}"))
            self.stdout.write(f"Imported: {len(done.new)} new (disabled), {len(done.changed)} changed.")
        else:
            self.stdout.write("Nothing was changed. Import with --yes.")
        if refused := len(found.refused) + len(found.older):
            raise CommandError(f"Refused: {refused}, see above.")

    def _is_wanted(self, how_many: int) -> bool:
        if not sys.stdin.isatty():
            return False
        return input(f"Import {how_many} rules? [y/N] ").strip().lower() in ("y", "yes")

    def _write(self, line: str) -> None:
        """A line with texts out of rule files, made harmless for a terminal."""
        self.stdout.write(printable(line))

    def _show(self, found: Preview) -> None:
        for fault in (*found.refused, *self._older(found.older)):
            self.stderr.write(printable(f"Refused: {fault}"))
        for fault in found.repeated:
            self._write(f"Left out: {fault}")
        for sort, how_many in found.left.items():
            self._write(f"Not imported with the rules: {how_many} {sort}{'' if how_many == 1 else 's'}.")
        for item in found.exceptions:
            what = (
                f"item of {item.list_id}: {item.name}: {item.entries}"
                if item.is_item
                else f"list {item.name}"
            )
            self._write(f"           exception {what}")
        for note in found.notes:
            self._write(f"Note: {note}")
        for entry in found.changed:
            self._show_change(entry)
        for entry in found.new:
            self._write(f"new        {_name(entry)}")
            self._say(said for said in entry.says if entry.is_runnable or "run here" not in said)
        for entry in found.offers:
            if entry not in found.changed:
                self._write(f"overlay    {_name(entry)}")
                self._say(entry.says)
        for kind, how_many in found.not_runnable.items():
            self._write(
                f"{how_many} of type {kind} do not run here yet; their guides serve alerts from elsewhere."
            )
        self._write(
            f"{len(found.new)} new, {len(found.changed)} changed, {len(found.unchanged)} unchanged, "
            f"{len(found.older)} older than installed, {len(found.refused)} refused."
        )

    def _show_change(self, entry: Entry) -> None:
        self._write(f"changed    {_name(entry)}")
        self._say(entry.says)
        for change in entry.changes:
            self._write(f"  {change.part}")
            for line in change.lines:
                self._write(f"    {line}")

    def _say(self, said: Iterable[str]) -> None:
        for sentence in said:
            self._write(f"           {sentence}")

    def _older(self, entries: Iterable[Entry]) -> Iterable[str]:
        for entry in entries:
            yield f"{entry.place}: {_name(entry)} is older than the installed one: {entry.says[0]}"


def _name(entry: Entry) -> str:
    return escaped(f"{entry.file.name} ({entry.file.rule_id})")
