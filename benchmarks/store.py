"""The embedded event store, side by side with SQLite, with one SQL statement a rule and with PyPI's `eql`.

Run: python -m benchmarks.store [--events N] [--rules PATH] [--without-sqlite]. Figures: docs/performance.md.
"""

import argparse
import hashlib
import json
import os
import pickle
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import orjson

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
os.environ.setdefault("CASEWRIGHT_DATA", tempfile.mkdtemp(prefix="casewright-benchmark-"))

import django

django.setup()

from benchmarks import hunt
from benchmarks.telemetry import START, Telemetry
from detections.eql import parse
from detections.eql.known import catalogue
from detections.hunt.rules import rule_set
from detections.ingest.readers import open_capture
from detections.rule_files import load_rules
from detections.stores.base import Clause, EqlSearch, Filters, MappedEvent, Region, Window
from detections.stores.embedded import EmbeddedStore, MemoryManifest, compacting
from detections.stores.embedded.eql_search import EqlSearcher
from detections.stores.embedded.merge_plan import IN_TIME, SORTED, Merge

BATCH, RATE = 5_000, 278.0
WINDOW = timedelta(minutes=9)
RULE = """
sequence by host.id, process.entity_id with maxspan=1m
  [process where event.type == "start" and process.name : "mshta.exe" and process.args : "-k"]
  [network where process.name : "mshta.exe" and network.direction : ("incoming", "ingress")
     and source.port > 49151 and destination.port > 49151]
"""
SEQUENCE = """
sequence by process.entity_id with maxspan=5m
  [process where event.type == "start" and process.name : "powershell.exe"]
  [network where event.action == "dns" and dns.question.name != null]
"""
SQLITE_RULE = """
SELECT id FROM events WHERE
  (json_extract(doc, '$.event.category[0]') = 'process' AND json_extract(doc, '$.event.type[0]') = 'start'
     AND json_extract(doc, '$.process.name') LIKE 'mshta.exe'
     AND EXISTS (SELECT 1 FROM json_each(doc, '$.process.args') WHERE value LIKE '-k'))
  OR (json_extract(doc, '$.event.category[0]') = 'network'
     AND json_extract(doc, '$.process.name') LIKE 'mshta.exe'
     AND json_extract(doc, '$.network.direction') IN ('incoming', 'ingress')
     AND json_extract(doc, '$.source.port') > 49151 AND json_extract(doc, '$.destination.port') > 49151)
"""
SQLITE_SEQUENCE = """
SELECT id FROM events WHERE
  (json_extract(doc, '$.event.category[0]') = 'process' AND json_extract(doc, '$.event.type[0]') = 'start'
     AND json_extract(doc, '$.process.name') LIKE 'powershell.exe')
  OR (json_extract(doc, '$.event.action') = 'dns' AND json_extract(doc, '$.dns.question.name') IS NOT NULL)
"""
SQLITE_PIVOT = """
SELECT doc FROM events WHERE time BETWEEN ? AND ? AND json_extract(doc, '$.host.id') = ?
  AND json_extract(doc, '$.process.entity_id') = ? ORDER BY time LIMIT 500
"""
Rows = dict[str, tuple[str, str]]


def identity(document: dict[str, Any]) -> str:
    return hashlib.sha256(document["event"]["id"].encode()).hexdigest()


def batches(count: int) -> Iterator[list[MappedEvent]]:
    telemetry = Telemetry(RATE)
    for start in range(0, count, BATCH):
        documents = telemetry.documents(min(BATCH, count - start))
        yield [MappedEvent(identity(one), one) for one in documents]


def timed(work: Callable[[], Any], repeat: int = 3) -> tuple[float, Any]:
    """The best time of a few, in seconds, and the last result."""
    best, result = float("inf"), None
    for _ in range(repeat):
        start = time.perf_counter()
        result = work()
        best = min(best, time.perf_counter() - start)
    return best, result


class Clock:
    """Batches arrive a second after their last event."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


def filled(folder: Path, count: int) -> tuple[EmbeddedStore, float]:
    """A store with so many events: the last twenty minutes in the order of time, the rest sorted."""
    clock = Clock()
    store = EmbeddedStore(folder, MemoryManifest(), catalogue(), clock=clock)
    for number, batch in enumerate(batches(count)):
        clock.now = START + timedelta(seconds=(number + 1) * BATCH / RATE + 1)
        store.append(batch, batch=str(number))
        if number % 20 == 19:
            store.compact()
    plain = store.statistics()["bytes"] / count
    recent = clock.now - timedelta(minutes=20)
    old = [
        one for one in store.reader.manifest.segments() if one.max_timestamp < recent and one.level < SORTED
    ]
    young = [one for one in store.reader.manifest.segments() if one.max_timestamp >= recent]
    for level, segments in ((SORTED, old), (IN_TIME, young)):
        for start in range(0, len(segments), 25):
            part = tuple(segments[start : start + 25])
            for plan in compacting._fitting(store.reader, Merge(part, level)):
                compacting.merge(store.reader, plan)
    return store, plain


def searches_of(path: Path) -> list[EqlSearch]:
    found = []
    rules = rule_set(load_rules([path])).rules
    if not rules:
        raise SystemExit(f"{path} holds no rule; give elastic-rules.tar.gz or a folder of rule files.")
    for rule in rules:
        is_event = len(rule.query.stages) == 1
        reach = rule.query.maxspan or (timedelta() if is_event else WINDOW)
        found.append(
            EqlSearch(
                rule.rule_id,
                rule.query,
                reach,
                timestamp_field=rule.timestamp_field,
                tiebreaker_field=rule.tiebreaker_field,
                event_category_field=rule.category_field,
            )
        )
    return found


def window_of(count: int) -> Region:
    end = START + timedelta(seconds=count / RATE)
    return Region(end - WINDOW, end + timedelta(hours=1), 2**40, 2**40)


EVERYTHING = Region(None, START + timedelta(days=3650), 0, 2**40)


def rule_sets(store: EmbeddedStore, count: int, searches: Sequence[EqlSearch]) -> Rows:
    """All rules over nine minutes, together and each in a statement of its own."""
    region = window_of(count)
    first, answers = timed(lambda: store.search_eql(searches, region, limit=2_000), repeat=1)
    together, answers = timed(lambda: store.search_eql(searches, region, limit=2_000))
    peak = _peak_mb()
    sample = searches[::20]
    searcher = EqlSearcher(store.reader, store.known_fields(), region, 2_000)
    alone, _ = timed(lambda: [searcher.answer(one) for one in sample], repeat=1)
    absent = [
        EqlSearch(f"absent{n}", parse(f'process where process.name : "absent{n}.exe"'), timedelta())
        for n in range(2_100)
    ]
    few, _ = timed(lambda: store.search_eql(absent[:100], region, limit=2_000))
    many, _ = timed(lambda: store.search_eql(absent, region, limit=2_000))
    rows = max(answer.completeness.rows for answer in answers)
    hits = sum(len(answer.matches) for answer in answers)
    apart = f"{alone / len(sample) * len(searches):,.1f} s (from every 20th)"
    return {
        f"{len(searches)} rules over 9 minutes ({rows:,} rows in its segments, {hits:,} matches)": (
            f"{together:.2f} s (first: {first:.2f} s)",
            apart,
        ),
        "peak memory of that": (f"{peak:,.0f} MB", ""),
        "one more rule whose value is absent": (f"{(many - few) / 2_000 * 1000:.3f} ms", ""),
    }


def beside_eql(rules: Path, count: int = 5_000) -> Rows:
    """Rules that PyPI's `eql` parses, here and there. Events are without lists, at which it breaks off."""
    held = hunt.readable(rule_set(load_rules([rules])).rules)
    events = [hunt.without_lists(one) for one in Telemetry(RATE).documents(count)]
    here = hunt.timed(lambda: hunt.ours([rule for rule, _ in held], events))
    there = hunt.timed(lambda: hunt.theirs([query for _, query in held], events))
    return {f"{len(held)} rules that PyPI's eql parses over {count:,} events": (here, f"eql: {there}")}


def _peak_mb() -> float:
    """Of this process alone; what `getrusage` says is inherited from the one that started it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def single_queries(store: EmbeddedStore, count: int) -> dict[str, tuple[float, str]]:
    found: dict[str, tuple[float, str]] = {}
    for name, query in (("the rule over everything", RULE), ("the sequence over everything", SEQUENCE)):
        search = EqlSearch("one", parse(query), timedelta(minutes=5))
        seconds, [answer] = timed(partial(store.search_eql, [search], EVERYTHING, limit=100_000))
        found[name] = seconds, f"{len(answer.matches):,} matches"
    page = store.search(Filters(((),)), Window(START, START + timedelta(seconds=count / RATE)), limit=1)
    middle = page.events[0].document
    pivot, page = timed(lambda: store.search(*pivot_of(middle, count), limit=500))
    found["a pivot over one hour"] = pivot, f"{page.total:,} events"
    return found


def pivot_of(one: dict[str, Any], count: int) -> tuple[Filters, Window]:
    end = START + timedelta(seconds=count / RATE)
    clauses = (
        Clause("host.id", values=(one["host"]["id"],)),
        Clause("process.entity_id", values=(one["process"]["entity_id"],)),
    )
    start = max(START, end - timedelta(hours=1))
    return Filters((clauses,)), Window(start, end)


def ingest(folder: Path, count: int = 50_000) -> Rows:
    """NDJSON from a file to durable and searchable, on one core."""
    capture = folder / "capture.ndjson"
    with capture.open("wb") as file:
        for document in Telemetry(RATE).documents(count):
            file.write(orjson.dumps(document) + b"\n")
    store = EmbeddedStore(folder / "ingest", MemoryManifest(), catalogue())
    wall, cpu, number = time.perf_counter(), time.process_time(), 0
    batch: list[MappedEvent] = []
    for item in open_capture(capture):
        assert isinstance(item, MappedEvent)
        batch.append(item)
        if len(batch) == BATCH:
            store.append(batch, batch=f"{(number := number + 1)}")
            batch = []
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {
        "ingest of NDJSON, events a second of CPU": (f"{count / cpu:,.0f}", ""),
        "the same by the clock": (f"{count / wall:,.0f}", ""),
        "size of an event": (f"{capture.stat().st_size / count:,.0f} bytes of JSON", ""),
    }


def sqlite(folder: Path, count: int, middle: dict[str, Any]) -> dict[str, str]:
    path = folder / "events.sqlite3"
    database = sqlite3.connect(path)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("CREATE TABLE events (id INTEGER PRIMARY KEY, identity UNIQUE, time TEXT, doc TEXT)")
    database.execute("CREATE INDEX by_time ON events (time)")
    spent = 0.0
    for batch in batches(count):
        start = time.process_time()
        rows = [
            (one.identity, one.document["@timestamp"], orjson.dumps(one.document).decode()) for one in batch
        ]
        with database:
            database.executemany("INSERT OR IGNORE INTO events (identity, time, doc) VALUES (?, ?, ?)", rows)
        spent += time.process_time() - start
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    rule, _ = timed(lambda: database.execute(SQLITE_RULE).fetchall(), repeat=1)
    sequence, _ = timed(lambda: database.execute(SQLITE_SEQUENCE).fetchall(), repeat=1)
    _, span = pivot_of(middle, count)
    ends = [f"{span.start:%Y-%m-%dT%H:%M:%S}", f"{span.end:%Y-%m-%dT%H:%M:%S.%f}Z"]
    keys = [middle["host"]["id"], middle["process"]["entity_id"]]
    pivot, _ = timed(lambda: database.execute(SQLITE_PIVOT, [*ends, *keys]).fetchall(), repeat=1)
    return {
        "ingest of NDJSON, events a second of CPU": f"{count / spent:,.0f} (without reading)",
        "bytes an event": f"{path.stat().st_size / count:,.0f}",
        "the rule over everything": f"{rule * 1000:,.0f} ms (candidates only)",
        "the sequence over everything": f"{sequence * 1000:,.0f} ms (candidates only)",
        "a pivot over one hour": f"{pivot * 1000:,.0f} ms",
    }


def _alone(folder: Path, store: EmbeddedStore, options: argparse.Namespace) -> Rows:
    """The rule sets in a process of their own, so that its peak memory is theirs."""
    manifest = store.reader.manifest
    state = [manifest.segments(), dict(manifest.fields()), manifest.head()]
    (folder / "manifest").write_bytes(pickle.dumps(state))
    command = [
        sys.executable,
        "-m",
        "benchmarks.store",
        "--child",
        str(folder),
        "--events",
        str(options.events),
    ]
    # As `manage.py up` starts a worker.
    environment = {**os.environ, "MALLOC_ARENA_MAX": "2"}
    command += ["--rules", str(options.rules)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    found: Rows = json.loads(done.stdout.splitlines()[-1])
    return found


def _opened(folder: Path) -> EmbeddedStore:
    manifest = MemoryManifest()
    manifest._segments, manifest._fields, manifest._head = pickle.loads((folder / "manifest").read_bytes())
    return EmbeddedStore(folder / "store", manifest, catalogue())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=300_000)
    parser.add_argument("--rules", type=Path, default=Path("../shared/rules/elastic-rules.tar.gz"))
    parser.add_argument("--without-sqlite", action="store_true")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    count = options.events
    if options.child:
        print(json.dumps(rule_sets(_opened(options.child), count, searches_of(options.rules))))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store, plain = filled(folder / "store", count)
        table: Rows = {**ingest(folder)}
        size = store.statistics()["bytes"] / count
        table["bytes an event"] = (f"{size:,.0f} ({plain:,.0f} before sorting)", "")
        for label, (seconds, note) in single_queries(store, count).items():
            table[label] = (f"{seconds * 1000:,.0f} ms ({note})", "")
        if options.rules.exists():
            searches = searches_of(options.rules)
            texts = [one.query.text for one in searches]
            parsing, _ = timed(lambda: [parse(text) for text in texts])
            table[f"parsing {len(texts)} queries"] = (f"{parsing:.2f} s", "")
            table |= _alone(folder, store, options)
            table |= beside_eql(options.rules)
        if not options.without_sqlite:
            page = store.search(Filters(((),)), Window(START, START + timedelta(days=1)), limit=1)
            for label, value in sqlite(folder, count, page.events[0].document).items():
                table[label] = (table[label][0], value)
    print(f"{count:,} events\n\n| what | here | side by side |\n|---|---|---|")
    for label, (ours, other) in table.items():
        print(f"| {label} | {ours} | {other} |")


if __name__ == "__main__":
    main()
