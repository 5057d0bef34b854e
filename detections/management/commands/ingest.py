"""Import capture files from the command line."""

from argparse import ArgumentParser
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from detections import imports
from detections.actors import system
from detections.errors import CasewrightError
from detections.event_store import event_store
from detections.imports import ImportSummary


class Command(BaseCommand):
    help = "Import EVTX and NDJSON captures. Ends with 1 if any record could not be used; good ones are kept."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("paths", nargs="+", metavar="PATH", type=Path, help="a file or a folder")
        parser.add_argument(
            "--retime", choices=["now"], help="move all events by one amount so that the newest happens now"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        console = Console(file=self.stdout, force_terminal=self.stdout.isatty())  # type: ignore[arg-type]
        moved_to = datetime.now(UTC) if options["retime"] else None
        try:
            summary = _imported(console, options["paths"], moved_to)
        except CasewrightError as error:
            raise CommandError(str(error)) from error
        _print(console, summary)
        if summary.bad:
            raise CommandError(
                f"Records that could not be used: {summary.bad:,}. The good ones were kept. "
                f"The quarantine of import {summary.import_id} lists each with file and position."
            )


def _imported(console: Console, paths: list[Path], moved_to: datetime | None) -> ImportSummary:
    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TextColumn("{task.fields[events]:,} events"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )
    task = bar.add_task("Reading", total=None, events=0)

    def draw(at: imports.Progress) -> None:
        bar.update(
            task,
            description=at.file.name,
            completed=at.bytes_done,
            total=at.bytes_total,
            events=at.events,
        )

    with bar:
        return imports.import_captures(
            paths, actor=system("ingest command"), store=event_store(), retime=moved_to, progress=draw
        )


def _print(console: Console, summary: ImportSummary) -> None:
    table = Table(title=f"Import {summary.import_id}: {summary.status.label.lower()}")
    table.add_column("File", overflow="fold")
    for name in ("New", "Known already", "Bad"):
        table.add_column(name, justify="right")
    for file in summary.files:
        table.add_row(escape(str(file.path)), f"{file.new:,}", f"{file.known:,}", f"{file.bad:,}")
    if len(summary.files) > 1:
        table.add_section()
        table.add_row("All files", f"{summary.new:,}", f"{summary.known:,}", f"{summary.bad:,}")
    console.print(table)
    for file in summary.files:
        for fault in file.faults:
            console.print(f"{file.path.name}: {fault}", style="yellow", markup=False)
        if file.bad > len(file.faults):
            console.print(f"{file.path.name}: and {file.bad - len(file.faults):,} more", markup=False)
