"""Pivots, coverage and histograms on a real Elasticsearch and on the embedded store, side by side.

Run: python -m benchmarks.elasticsearch [--events N] [--pivots N]. EQL is not timed: the distribution that the
tests use has none. Needs Maven, or a server in ELASTICSEARCH_URL that takes `logs-endpoint.events.*`.
"""

import argparse
import json
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from benchmarks.store import RATE, batches, filled, pivot_of
from benchmarks.telemetry import START
from detections.enums import TelemetryKind
from detections.eql.known import catalogue
from detections.stores.base import Clause, EventStore, Filters, Window
from detections.stores.elasticsearch import Access, Cluster, Credential, ElasticsearchStore
from tests.elasticsearch.events import fill, install_template
from tests.elasticsearch.server import ADMIN, Server

PATTERN = "logs-endpoint.events.*"
KINDS = [kind for kind in TelemetryKind if kind is not TelemetryKind.ALERT]
Question = Callable[[EventStore], Any]


def stream_of(document: dict[str, Any]) -> str:
    return f"logs-{document['data_stream']['dataset']}-default"


def load(server: Server, count: int) -> float:
    """Put the telemetry into its data streams. How long the server took, in seconds."""
    spent = 0.0
    for batch in batches(count):
        by_stream: dict[str, list[tuple[str, dict[str, Any]]]] = {}
        for event in batch:
            by_stream.setdefault(stream_of(event.document), []).append((event.identity, event.document))
        start = time.perf_counter()
        for stream, documents in by_stream.items():
            fill(server, stream, documents)
        spent += time.perf_counter() - start
    return spent


def questions(store: EventStore, count: int, pivots: int) -> dict[str, list[Question]]:
    """The same for both: pivots around processes, coverage and histograms of their hosts."""
    chance, end = random.Random(11), START + timedelta(seconds=count / RATE)
    subjects: list[dict[str, Any]] = []
    while len(subjects) < pivots:
        moment = START + timedelta(seconds=chance.random() * count / RATE)
        page = store.search(Filters(((),)), Window(moment, moment + timedelta(seconds=5)), limit=5)
        subjects += [event.document for event in page.events if "process" in event.document][:1]
    hosts = [one["host"]["id"] for one in subjects]
    last_hour = Window(max(START, end - timedelta(hours=1)), end)
    return {
        "a pivot over one hour": [
            lambda one, subject=subject: counted(one, *pivot_of(subject, count))  # type: ignore[misc]
            for subject in subjects
        ],
        "coverage of seven kinds of a host": [
            lambda one, host=host: covered(one, host, last_hour)  # type: ignore[misc]
            for host in hosts
        ],
        "histogram of a host over everything, by minute": [
            lambda one, host=host: one.histogram(  # type: ignore[misc]
                Filters(((Clause("host.id", values=(host,)),),)), Window(START, end), timedelta(minutes=1)
            )
            for host in hosts
        ],
    }


def counted(store: EventStore, filters: Filters, window: Window) -> tuple[int, list[str]]:
    page = store.search(filters, window, limit=500)
    return page.total, sorted(event.document["event"]["id"] for event in page.events)


def covered(store: EventStore, host: str, window: Window) -> list[tuple[Any, ...]]:
    found = store.coverage(host, KINDS, window)
    return [(one.kind, one.before, one.during, one.after) for one in found]


def timed(store: EventStore, asked: Sequence[Question]) -> tuple[list[float], list[Any]]:
    asked[0](store)  # what is read only once is not counted
    seconds, answers = [], []
    for question in asked:
        start = time.perf_counter()
        answers.append(question(store))
        seconds.append(time.perf_counter() - start)
    return seconds, answers


def said(seconds: Sequence[float]) -> str:
    ordered = sorted(seconds)
    return (
        f"{statistics.median(ordered) * 1000:,.0f} ms, p95 {ordered[len(ordered) * 95 // 100] * 1000:,.0f} ms"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--pivots", type=int, default=100)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="casewright-es-benchmark-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        server = Server(folder, "8.19.0")
        try:
            server.start()
            install_template(server)
            compare(server, folder, options.events, options.pivots)
        finally:
            server.stop()


def compare(server: Server, folder: Path, count: int, pivots: int) -> None:
    loaded = load(server, count)
    start = time.perf_counter()
    embedded, _plain = filled(folder / "embedded", count)
    ours = time.perf_counter() - start
    access = {one: Credential(user=ADMIN, password=server.password) for one in Access}
    cluster = ElasticsearchStore(Cluster((server.url,), (PATTERN,), access), catalogue())
    rows = [("loading, events a second", f"{count / loaded:,.0f}", f"{count / ours:,.0f} (sorted, made too)")]
    for label, asked in questions(embedded, count, pivots).items():
        theirs, found = timed(cluster, asked)
        mine, expected = timed(embedded, asked)
        assert found == expected, f"{label}: the answers differ"
        rows.append((f"{label}, {len(asked)} of them", said(theirs), said(mine)))
    print(json.dumps({"events": count, "cores": os.cpu_count(), "heap": "512 MB", "server": server.version}))
    print(f"\n{count:,} events\n\n| what | Elasticsearch | embedded |\n|---|---|---|")
    for label, other, own in rows:
        print(f"| {label} | {other} | {own} |")


if __name__ == "__main__":
    main()
