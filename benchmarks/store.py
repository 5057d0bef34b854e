"""The embedded event store against SQLite with JSON documents: the plain way to keep events in a file.

Run: python -m benchmarks.store [--events N]. Prints a table; see benchmarks/README.md for figures.
"""

import argparse
import hashlib
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from detections.eql import parse
from detections.eql.fields import Field, FieldCatalogue, FieldType
from detections.stores.base import Clause, EqlSearch, Filters, MappedEvent, Region, Window
from detections.stores.embedded import EmbeddedStore, MemoryManifest

START = datetime(2026, 3, 1, tzinfo=UTC)
BATCH = 5_000
HOSTS = 200
CATALOGUE = FieldCatalogue(
    [
        Field("@timestamp", FieldType.DATE),
        Field("event.category", FieldType.KEYWORD, is_list=True),
        Field("event.type", FieldType.KEYWORD, is_list=True),
        Field("process.args", FieldType.KEYWORD, is_list=True),
        Field("host.ip", FieldType.IP, is_list=True),
        Field("source.ip", FieldType.IP),
        Field("source.port", FieldType.LONG),
        Field("destination.port", FieldType.LONG),
        Field("network.direction", FieldType.KEYWORD),
    ]
)
RULE = """
sequence by host.id, process.entity_id with maxspan=1m
  [process where event.type == "start" and process.name : "mshta.exe" and process.args : "-Embedding"]
  [network where process.name : "mshta.exe" and network.direction : ("incoming", "ingress")
     and source.port > 49151 and destination.port > 49151]
"""
SQLITE_STAGES = """
SELECT id FROM events WHERE
  (json_extract(doc, '$.event.category[0]') = 'process'
     AND json_extract(doc, '$.event.type[0]') = 'start'
     AND json_extract(doc, '$.process.name') LIKE 'mshta.exe'
     AND EXISTS (SELECT 1 FROM json_each(doc, '$.process.args') WHERE value LIKE '-embedding'))
  OR (json_extract(doc, '$.event.category[0]') = 'network'
     AND json_extract(doc, '$.process.name') LIKE 'mshta.exe'
     AND json_extract(doc, '$.network.direction') IN ('incoming', 'ingress')
     AND json_extract(doc, '$.source.port') > 49151
     AND json_extract(doc, '$.destination.port') > 49151)
"""
SQLITE_PIVOT = """
SELECT doc FROM events WHERE time BETWEEN ? AND ? AND json_extract(doc, '$.host.id') = ?
  AND json_extract(doc, '$.process.entity_id') = ? ORDER BY time LIMIT 500
"""


def document(number: int) -> dict[str, Any]:
    """An endpoint event of about 1.6 kB; one process start in ten thousand is the one that the rule seeks."""
    wanted = number % 10_000 in {0, 1}
    host, is_network = (
        0 if wanted else number % HOSTS,
        number % 10_000 == 1 or (number % 3 == 2 and not wanted),
    )
    name = "mshta.exe" if wanted else f"program{number % 97}.exe"
    entity = hashlib.md5(f"{number - number % 2 if wanted else number // 40}-{host}".encode()).hexdigest()
    found: dict[str, Any] = {
        "@timestamp": (START + timedelta(seconds=number / 10)).isoformat(),
        "agent": {"id": f"agent-{host:04}", "type": "endpoint", "version": "8.17.0"},
        "ecs": {"version": "8.10.0"},
        "data_stream": {"type": "logs", "dataset": "endpoint.events.process", "namespace": "default"},
        "event": {
            "id": f"NQ{number:012x}",
            "sequence": number,
            "category": ["network" if is_network else "process"],
            "type": ["start"],
            "kind": "event",
            "dataset": "endpoint.events.network" if is_network else "endpoint.events.process",
            "created": (START + timedelta(seconds=number / 10)).isoformat(),
            "outcome": "unknown",
        },
        "host": {
            "id": f"host-{host:04}",
            "name": f"ws-{host:04}",
            "ip": [f"10.20.{host}.7", "127.0.0.1", "::1"],
            "os": {"type": "windows", "family": "windows", "name": "Windows", "version": "22H2"},
        },
        "user": {"domain": "CORP", "name": f"user{host}", "id": f"S-1-5-21-1-2-3-{host}"},
        "process": {
            "name": name,
            "entity_id": entity,
            "pid": 1000 + number % 60_000,
            "executable": f"C:\\Windows\\System32\\{name}",
            "command_line": f'"C:\\Windows\\System32\\{name}" -Embedding --session {number % 1009}',
            "args": [f"C:\\Windows\\System32\\{name}", "-Embedding", "--session", str(number % 1009)],
            "args_count": 4,
            "hash": {"sha256": hashlib.sha256(name.encode()).hexdigest()},
            "code_signature": [{"trusted": True, "exists": True, "subject_name": "Microsoft Windows"}],
            "parent": {
                "name": "svchost.exe",
                "executable": "C:\\Windows\\System32\\svchost.exe",
                "entity_id": hashlib.md5(f"p{host}".encode()).hexdigest(),
                "command_line": "C:\\Windows\\System32\\svchost.exe -k DcomLaunch -p",
                "args": ["C:\\Windows\\System32\\svchost.exe", "-k", "DcomLaunch", "-p"],
            },
            "Ext": {"authentication_id": f"0x{number % 4096:x}", "session_info": {"logon_type": "Network"}},
        },
    }
    if is_network:
        found["network"] = {"direction": "ingress" if wanted else "egress", "transport": "tcp"}
        found["source"] = {"ip": "10.20.9.118", "port": 50_000 + number % 9000}
        found["destination"] = {"ip": f"10.20.{host}.7", "port": 49_700 if wanted else 443}
    return found


def batches(count: int) -> Iterator[list[MappedEvent]]:
    for start in range(0, count, BATCH):
        documents = [document(number) for number in range(start, min(start + BATCH, count))]
        yield [MappedEvent(hashlib.sha256(one["event"]["id"].encode()).hexdigest(), one) for one in documents]


def timed(work: Callable[[], Any], repeat: int = 3) -> tuple[float, Any]:
    """The best time of a few, and the last result."""
    best, result = float("inf"), None
    for _ in range(repeat):
        start = time.perf_counter()
        result = work()
        best = min(best, time.perf_counter() - start)
    return best, result


def embedded(folder: Path, count: int) -> dict[str, str]:
    store = EmbeddedStore(folder, MemoryManifest(), CATALOGUE)
    spent = 0.0
    for number, batch in enumerate(batches(count)):
        start = time.perf_counter()
        store.append(batch, batch=str(number))
        spent += time.perf_counter() - start
    first = next(batches(BATCH))
    again, _ = timed(lambda: store.append(first, batch="again"))
    end = START + timedelta(seconds=count / 10)
    late = Region(after=end - timedelta(minutes=9), until=datetime.now(UTC), mark=2**40, head=2**40)
    search = EqlSearch("rule", parse(RULE), timedelta(minutes=1))
    everything = Region(None, datetime.now(UTC) + timedelta(days=365), 0, 2**40)
    rule, [answer] = timed(lambda: store.search_eql([search], everything, limit=10_000))
    window, _ = timed(lambda: store.search_eql([search], late, limit=10_000))
    pivot, page = timed(lambda: store.search(*pivot_of(document(count // 2)), limit=500))
    return {
        "ingest, events/s": f"{count / spent:,.0f}",
        "re-import, events/s": f"{BATCH / again:,.0f}",
        "bytes an event": f"{store.statistics()['bytes'] / count:,.0f}",
        "rule over everything, ms": f"{rule * 1000:,.0f} ({len(answer.matches)} matches)",
        "rule over the last 9 minutes, ms": f"{window * 1000:,.0f}",
        "pivot over one hour, ms": f"{pivot * 1000:,.0f} ({page.total} events)",
    }


def pivot_of(one: dict[str, Any]) -> tuple[Filters, Window]:
    moment = datetime.fromisoformat(one["@timestamp"])
    clauses = (
        Clause("host.id", values=(one["host"]["id"],)),
        Clause("process.entity_id", values=(one["process"]["entity_id"],)),
    )
    return Filters((clauses,)), Window(moment - timedelta(minutes=30), moment + timedelta(minutes=30))


def sqlite(folder: Path, count: int) -> dict[str, str]:
    path = folder / "events.sqlite3"
    database = sqlite3.connect(path)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("CREATE TABLE events (id INTEGER PRIMARY KEY, identity UNIQUE, time TEXT, doc TEXT)")
    database.execute("CREATE INDEX by_time ON events (time)")
    spent = 0.0
    insert = "INSERT OR IGNORE INTO events (identity, time, doc) VALUES (?, ?, ?)"

    def add(batch: list[MappedEvent]) -> None:
        rows = [
            (one.identity, one.document["@timestamp"], orjson.dumps(one.document).decode()) for one in batch
        ]
        with database:
            database.executemany(insert, rows)

    for batch in batches(count):
        start = time.perf_counter()
        add(batch)
        spent += time.perf_counter() - start
    first = next(batches(BATCH))
    again, _ = timed(lambda: add(first))
    end = (START + timedelta(seconds=count / 10 - 540)).isoformat()
    rule, rows = timed(lambda: database.execute(SQLITE_STAGES).fetchall())
    recent = SQLITE_STAGES.replace("WHERE\n", "WHERE time > ? AND (", 1) + ")"
    window, _ = timed(lambda: database.execute(recent, [end]).fetchall())
    one = document(count // 2)
    _, span = pivot_of(one)
    ends = [span.start.isoformat(), span.end.isoformat(), one["host"]["id"], one["process"]["entity_id"]]
    pivot, found = timed(lambda: database.execute(SQLITE_PIVOT, ends).fetchall())
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return {
        "ingest, events/s": f"{count / spent:,.0f}",
        "re-import, events/s": f"{BATCH / again:,.0f}",
        "bytes an event": f"{path.stat().st_size / count:,.0f}",
        "rule over everything, ms": f"{rule * 1000:,.0f} ({len(rows)} candidates)",
        "rule over the last 9 minutes, ms": f"{window * 1000:,.0f}",
        "pivot over one hour, ms": f"{pivot * 1000:,.0f} ({len(found)} events)",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=100_000)
    count = parser.parse_args().events
    with tempfile.TemporaryDirectory() as folder:
        ours, plain = embedded(Path(folder) / "embedded", count), sqlite(Path(folder), count)
    print(f"{count:,} events\n{'':36}{'embedded store':>28}{'SQLite + JSON':>28}")
    for name, value in ours.items():
        print(f"{name:36}{value:>28}{plain[name]:>28}")


if __name__ == "__main__":
    main()
