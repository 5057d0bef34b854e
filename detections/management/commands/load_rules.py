"""`manage.py load_rules`: rule files into the database."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from detections.actors import system
from detections.hunt.lines import printable
from detections.rule_loading import SHIPPED, LoadSummary, load_rules


class Command(BaseCommand):
    help = (
        "Load rules: Elastic's TOML, Kibana's NDJSON, folders and archives of them. Ends with 1 on any fault."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "paths", nargs="*", metavar="PATH", type=Path, help="a file or folder (none: the shipped rules)"
        )
        parser.add_argument(
            "--enable", action="store_true", help="enable the rules; otherwise they arrive disabled"
        )

    def handle(self, *_args: Any, paths: list[Path], enable: bool, **_options: Any) -> None:
        # The shipped rules come to life by themselves once; imported ones wait for somebody's decision.
        shipped = not paths
        summary = load_rules(
            paths or [SHIPPED],
            actor=system("load_rules command"),
            enable=enable,
            enable_new=shipped,
            shipped=shipped,
        )
        self._print(summary)
        if summary.errors:
            raise CommandError(f"{len(summary.errors)} files or rules did not load; the others did.")

    def _print(self, summary: LoadSummary) -> None:
        for error in summary.errors:
            self.stderr.write(printable(str(error)))
        for warning in summary.warnings:
            self.stderr.write(printable(f"Warning: {warning}"))
        for fault in summary.skipped:
            self.stdout.write(printable(f"Left out: {fault}"))
        self.stdout.write(
            f"{len(summary.new)} new, {len(summary.updated)} updated, {len(summary.unchanged)} unchanged, "
            f"{len(summary.enabled)} enabled."
        )
