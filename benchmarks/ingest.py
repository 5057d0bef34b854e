"""Ingest from a file to durable and searchable, in one process: CPU and clock, bytes an event.

Run: python -m benchmarks.ingest [--events N] [--evtx FILE]. Figures: docs/performance.md. The best of a few
runs counts, as other work only ever slows one down. Events of a log that is read again get new identities, so
that none is dropped as known.
"""

import argparse
import hashlib
import os
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import orjson

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
os.environ.setdefault("CASEWRIGHT_DATA", tempfile.mkdtemp(prefix="casewright-benchmark-"))

import django

django.setup()

from benchmarks.telemetry import Telemetry
from detections.eql.known import catalogue
from detections.ingest.readers import open_capture
from detections.stores.base import MappedEvent
from detections.stores.embedded import EmbeddedStore, MemoryManifest, compacting
from detections.stores.embedded.merge_plan import IN_TIME, SORTED, Merge

BATCH, REPEAT = 5_000, 3
HEADING = "| what | events a second of CPU | by the clock |\n|---|---|---|"


def of_ndjson(path: Path) -> Iterator[MappedEvent]:
    return (item.packed() for item in open_capture(path) if isinstance(item, MappedEvent))


def of_evtx(path: Path) -> Iterator[MappedEvent]:
    """The events of a log again and again, without end."""
    turn = 0
    while True:
        turn += 1
        for item in of_ndjson(path):
            known_as = hashlib.sha256(f"{turn}{item.identity}".encode()).hexdigest()
            yield item.known_as(known_as)


def stored(events: Iterator[MappedEvent], folder: Path) -> EmbeddedStore:
    store = EmbeddedStore(folder, MemoryManifest(), catalogue())
    for number in range(10**9):
        batch = list(islice(events, BATCH))
        if not batch:
            return store
        store.append(batch, batch=str(number))
    return store


def measured(path: Path, count: int, folder: Path, *, is_log: bool) -> tuple[float, float, EmbeddedStore]:
    """Events a second of CPU (all threads) and by the clock, and the last store."""
    rates = []
    for turn in range(REPEAT):
        events = islice(of_evtx(path) if is_log else of_ndjson(path), count)
        cpu, clock = time.process_time(), time.perf_counter()
        store = stored(events, folder / f"{path.suffix}{turn}")
        rates.append((count / (time.process_time() - cpu), count / (time.perf_counter() - clock)))
    return max(cpu for cpu, _ in rates), max(clock for _, clock in rates), store


def decoded(path: Path, count: int) -> float:
    """Events a second of CPU that are decoded and mapped, without storing them."""
    cpu = time.process_time()
    for _ in islice(of_evtx(path), count):
        pass
    return count / (time.process_time() - cpu)


def merged(store: EmbeddedStore, level: int) -> tuple[float, float]:
    """Bytes an event, and microseconds of CPU an event, after all segments became one of a level."""
    sources = tuple(store.reader.manifest.segments())
    cpu = time.process_time()
    for part in compacting._fitting(store.reader, Merge(sources, level)):
        compacting.merge(store.reader, part)
    figures = store.statistics()
    return figures["bytes"] / figures["rows"], (time.process_time() - cpu) / figures["rows"] * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=50_000)
    parser.add_argument("--evtx", type=Path)
    options = parser.parse_args()
    print(f"{datetime.now(UTC):%Y-%m-%d}, {options.events:,} events\n\n{HEADING}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        capture = folder / "capture.ndjson"
        with capture.open("wb") as file:
            for document in Telemetry().documents(options.events):
                file.write(orjson.dumps(document) + b"\n")
        cpu, clock, store = measured(capture, options.events, folder, is_log=False)
        print(f"| NDJSON, {capture.stat().st_size / options.events:,.0f} bytes | {cpu:,.0f} | {clock:,.0f} |")
        if options.evtx:
            print(f"| EVTX decoded and mapped | {decoded(options.evtx, options.events):,.0f} | |")
            cpu, clock, _ = measured(options.evtx, options.events, folder, is_log=True)
            print(f"| EVTX stored | {cpu:,.0f} | {clock:,.0f} |")
        figures = store.statistics()
        print(f"\nBytes an event: {figures['bytes'] / figures['rows']:,.0f} as written")
        for label, level in (("in the order of time", IN_TIME), ("sorted", SORTED)):
            size, spent = merged(store, level)
            print(f"{label}: {size:,.0f}, for {spent:.0f} µs of CPU an event")


if __name__ == "__main__":
    main()
