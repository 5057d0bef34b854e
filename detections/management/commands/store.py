"""`manage.py store`: what is in the event store, and whether it is whole."""

from argparse import ArgumentParser
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from detections import retention, store_upkeep
from detections.actors import system
from detections.event_store import embedded_store
from detections.models import QuarantinedRecord, SeenField

ACTOR = system("store command")


class Command(BaseCommand):
    help = (
        "Show what the event store holds. Ends with 1 where a segment can't be read, or with --verify is not "
        "what was written."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--verify", action="store_true", help="read every file and compare its checksum and rows"
        )
        parser.add_argument("--compact", action="store_true", help="merge segments first, as beat does")
        parser.add_argument("--sweep", action="store_true", help="expire and delete first, as beat does")

    def handle(self, *_args: Any, **options: Any) -> None:
        if options["compact"]:
            self._compact()
        if options["sweep"]:
            self._sweep()
        unreadable = self._figures()
        faulty = self._verified() if options["verify"] else 0
        if unreadable or faulty:
            raise CommandError(
                "Restore the named files from a backup into the store's folder, then run "
                "manage.py store --sweep --verify."
            )

    def _compact(self) -> None:
        done = store_upkeep.compact()
        if done is None:
            self.stdout.write("Another process is merging segments.")
            return
        self.stdout.write(f"Merged {done.sources:,} segments with {done.rows:,} events into {done.files:,}.")
        for reason in done.failed:
            self.stderr.write(reason)

    def _sweep(self) -> None:
        done = store_upkeep.sweep(actor=ACTOR)
        if done is not None:
            expired, swept = done
            self.stdout.write(
                f"Expired {expired.segments:,} segments with {expired.rows:,} events; deleted "
                f"{len(swept.deleted):,} files; {len(swept.recovered):,} segments can be read again."
            )

    def _figures(self) -> int:
        store = embedded_store()
        held = store.inventory()
        plain, in_time, in_order = held.levels
        an_event = f", {held.bytes / held.rows:,.0f} an event" if held.rows else ""
        limits = retention.limits()
        kept = [
            f"{limits.age.days} days" if limits.age else "",
            f"{limits.size:,} bytes" if limits.size else "",
        ]
        for name, value in (
            ("folder", str(store.reader.files.root)),
            ("events", f"{held.rows:,}"),
            ("bytes", f"{held.bytes:,}{an_event}"),
            (
                "segments",
                f"{held.segments:,} ({plain:,} plain, {in_time:,} merged, {in_order:,} sorted)",
            ),
            ("oldest event", _moment(held.oldest)),
            ("newest event", _moment(held.newest)),
            ("last batch", f"{held.head:,}"),
            ("fields", f"{held.columns:,} columns, {SeenField.objects.count():,} fields beyond ECS"),
            ("kept for", " and ".join(part for part in kept if part) or "ever"),
            ("quarantined records", f"{QuarantinedRecord.objects.count():,}"),
            ("unreadable segments", f"{len(held.unreadable):,}"),
        ):
            self.stdout.write(f"{name:20} {value}")
        for path in held.unreadable:
            self.stderr.write(f"{path} could not be read three times and is left out of searches.")
        return len(held.unreadable)

    def _verified(self) -> int:
        count = 0
        for path, fault in embedded_store().faults():
            self.stderr.write(f"{path}: {fault}.")
            count += 1
        verdict = f"{count:,} files are not whole" if count else "all files are whole"
        self.stdout.write(f"{'verified':20} {verdict}")
        return count


def _moment(value: datetime | None) -> str:
    return f"{value:%Y-%m-%d %H:%M:%S} UTC" if value else "none"
