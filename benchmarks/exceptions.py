"""How fast exceptions are: python -m benchmarks.exceptions [routing] [stored] [telemetry] [--folder PATH].

Each in a data folder of its own (PATH, else a temporary one), through the product's own functions:

routing: alerts of one rule against many exceptions, most of which speak of recovered evidence too; the
telemetry of every process is in the store. stored: a back-test over stored alerts. telemetry: a back-test
over the event store of PATH, which is filled if it holds fewer events than asked for.
Figures: docs/performance.md.
"""

import argparse
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

HOSTS, BATCH = 200, 5_000
QUERY = """
sequence by host.id, process.entity_id with maxspan=1m
  [process where event.type == "start" and process.name : "mshta.exe"]
  [network where event.type == "start" and process.name : "mshta.exe"
     and network.direction : ("incoming", "ingress") and source.port > 49151 and destination.port > 49151]
"""


def main() -> None:
    asked = _arguments()
    folder = asked.folder or Path(tempfile.mkdtemp(prefix="casewright-exceptions-"))
    os.environ["CASEWRIGHT_DATA"] = str(folder)
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    os.environ.setdefault("LOG_LEVEL", "ERROR")
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)
    ways = {"routing": _routing, "stored": _stored, "telemetry": _telemetry}
    for name in asked.what or ("routing", "stored"):
        print(f"{name}: {ways[name](asked)}", flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="*", choices=["routing", "stored", "telemetry"])
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--alerts", type=int, default=5_000, help="of routing")
    parser.add_argument("--items", type=int, default=500)
    parser.add_argument("--stored", type=int, default=100_000, help="alerts of the back-test")
    parser.add_argument("--events", type=int, default=10_000_000)
    return parser.parse_args()


# -- what is measured


def _routing(asked: argparse.Namespace) -> str:
    """In batches, as routing does it; a third of the alerts is hidden, the others nearly are."""
    from detections.actors import system
    from detections.models import Alert
    from triage.exception_items.routing import hide
    from triage.routing import BATCH as AT_ONCE

    now = datetime.now(UTC)
    rule, actor = _rule(), system("benchmark")
    _tell_store(asked.alerts, now)
    _put_in_force(rule, asked.items, now)
    _store_alerts(rule, asked.alerts, now)
    alerts = list(Alert.objects.unrouted().select_related("rule"))
    began, worked, hidden = perf_counter(), process_time(), 0
    for start in range(0, len(alerts), AT_ONCE):
        hidden += len(hide(alerts[start : start + AT_ONCE], actor=actor).taken)
    return (
        f"{asked.alerts:,} alerts against {asked.items} exceptions in {perf_counter() - began:.2f} s "
        f"({process_time() - worked:.2f} s of CPU), {hidden:,} hidden"
    )


def _stored(asked: argparse.Namespace) -> str:
    from detections.models import Alert

    rule, now = _rule("stored"), datetime.now(UTC)
    for start in range(Alert.objects.filter(rule=rule).count(), asked.stored, BATCH):
        _store_alerts(rule, min(BATCH, asked.stored - start), now, first=start, is_routed=True)
    return _tested(rule, "alerts", _entries(3)[:3])


def _telemetry(asked: argparse.Namespace) -> str:
    from benchmarks.store import batches
    from detections.event_store import embedded_store

    store = embedded_store()
    if store.statistics()["rows"] < asked.events:
        for number, batch in enumerate(batches(asked.events)):
            store.append(batch, batch=f"benchmark-{number}")
            if number % 20 == 19:
                store.compact()
    return _tested(_rule("telemetry"), "telemetry", _entries(3))


def _tested(rule: Any, kind: str, entries: list[dict[str, Any]]) -> str:
    from django.db.models import Max

    from detections.actors import of_user
    from detections.models import Segment
    from triage.exception_items import backtests as exception_backtests
    from triage.exception_items import states as exception_states
    from triage.models import BackTest

    version = exception_states.draft(_content(rule, entries), actor=of_user(_person("ann", "Analyst")))
    test = exception_backtests.start(version, actor=of_user(_person("ann", "Analyst")), kind=kind)
    if kind == "telemetry":
        # As if asked for when the last of the events had come.
        end = Segment.objects.aggregate(last=Max("max_timestamp"))["last"] + timedelta(minutes=1)
        BackTest.objects.update(window_start=end - timedelta(days=30), window_end=end)
    began, worked = perf_counter(), process_time()
    exception_backtests.deliver_back_test(test.pk)
    took, cpu = perf_counter() - began, process_time() - worked
    done = BackTest.objects.get(pk=test.pk)
    found = done.result
    return (
        f"{done.state}, {found.get('alerts', 0):,} looked at in {took:.2f} s ({cpu:.2f} s of CPU), "
        f"{found.get('hidden', 0):,} would have been hidden, "
        f"{found.get('near_misses', {}).get('alerts', 0):,} nearly {done.error}"
    )


# -- what it is measured with


def _person(name: str, group: str) -> Any:
    from django.contrib.auth.models import Group, User

    user, is_new = User.objects.get_or_create(username=name)
    if is_new:
        user.groups.set(Group.objects.filter(name=group))
    return user


def _rule(rule_id: str = "routing") -> Any:
    from detections.models import Rule, RuleVersion

    found = Rule.objects.filter(rule_id=rule_id).first()
    if found is not None:
        return found
    made = Rule.objects.create(
        rule_id=rule_id, name=rule_id, type="eql", severity="high", risk_score=73, enabled=True
    )
    made.current = RuleVersion.objects.create(
        rule=made, number=1, query=QUERY, maxspan_seconds=60, source="benchmark", sha256="0" * 64
    )
    made.save(update_fields=["current"])
    return made


def _entries(number: int) -> list[dict[str, Any]]:
    """A workflow as the shipped guide confirms it; of each number another host and server."""
    host, server = f"host-{number % HOSTS}", f"10.20.{number // 250}.{number % 250 + 1}"
    domain = f"dist{number}.corp.example"
    return [
        _entry("event", "host.id", host),
        _entry("network", "remote.ip", server),
        _entry("process", "process.command_line", "C:\\Windows\\System32\\mshta.exe -Embedding"),
        _entry("dns", "dns.question.name", domain),
        _entry("dns", "dns.question.name", domain, quantity="every"),
        {"scope": "child", "field": "", "operator": "exists", "quantity": "none"},
    ]


def _entry(scope: str, field: str, *values: str, **more: str) -> dict[str, Any]:
    return {"scope": scope, "field": field, "operator": "is", "values": list(values), **more}


def _content(rule: Any, entries: list[dict[str, Any]]) -> Any:
    from triage.exception_items.forms import read_content

    return read_content(
        {
            "rule": rule.rule_id,
            "name": "Distribution",
            "entries": entries,
            "reason": "CHG-1",
            "owner": "Desktop Engineering",
            "expires_at": datetime.now(UTC) + timedelta(days=90),
        }
    )


def _put_in_force(rule: Any, items: int, now: datetime) -> None:
    from detections.actors import of_user
    from triage.exception_items import states as exception_states
    from triage.models import BackTest, ExceptionVersion

    ann, bob = (of_user(_person(*who)) for who in (("ann", "Analyst"), ("bob", "Lead")))
    for number in range(items):
        # One of ten speaks of the alert's own events alone.
        entries = _entries(number)[: 3 if number % 10 == 0 else 6]
        version = exception_states.draft(_content(rule, entries), actor=ann)
        BackTest.objects.create(
            version=version,
            kind="alerts",
            content_sha256=version.content_sha256,
            window_start=now,
            window_end=now,
            state="succeeded",
            result={"blocks": []},
            requested_by=version.last_edited_by,
        )
        version = exception_states.propose(version, actor=ann, revision=version.revision)
        exception_states.approve(version, actor=bob, seen_sha256=version.content_sha256)
    begun = now - timedelta(hours=3)
    ExceptionVersion.objects.update(active_from=begun, approved_at=begun)


def _events(number: int, now: datetime) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """An alert's own events, and what else its process did. Two of three asked for something strange."""
    at = now - timedelta(hours=2) + timedelta(seconds=number % 3000)
    item = number % 1000
    host, server = f"host-{item % HOSTS}", f"10.20.{item // 250}.{item % 250 + 1}"
    entity = f"process-{number}"
    asked = f"dist{item}.corp.example" if number % 3 == 0 else f"other{number}.example"
    start = _document(at, host, entity, "process", process={
        "name": "mshta.exe", "entity_id": entity, "executable": "C:\\Windows\\System32\\mshta.exe",
        "command_line": "C:\\Windows\\System32\\mshta.exe -Embedding", "pid": 4711})  # fmt: skip
    ends = {"source": {"ip": server, "port": 50001}, "destination": {"ip": "10.0.0.5", "port": 50002}}
    came = _document(at + timedelta(seconds=2), host, entity, "network", **ends,
                     network={"direction": "ingress"})  # fmt: skip
    lookup = _document(at + timedelta(seconds=1), host, entity, "network", dns={"question": {"name": asked}})
    went = _document(at + timedelta(seconds=3), host, entity, "network", network={"direction": "egress"},
                     source=ends["destination"], destination={"ip": server, "port": 443})  # fmt: skip
    return [start, came], [lookup, went]


def _document(at: datetime, host: str, entity: str, category: str, **more: Any) -> dict[str, Any]:
    return {
        "@timestamp": at.isoformat().replace("+00:00", "Z"),
        "event": {"kind": "event", "category": [category], "type": ["start"], "created": at.isoformat()},
        "host": {"id": host, "name": host, "ip": ["10.0.0.5"], "os": {"type": "windows"}},
        "process": {"name": "mshta.exe", "entity_id": entity},
        "message": "x" * 700,
        **more,
    }


def _tell_store(alerts: int, now: datetime) -> None:
    from detections.event_store import embedded_store

    store = embedded_store()
    for number, documents in enumerate(_packs(alerts, now)):
        store.append(documents, batch=f"benchmark-{number}")
    store.compact()


def _packs(alerts: int, now: datetime) -> Iterator[list[Any]]:
    from detections.stores.base import MappedEvent

    for start in range(0, alerts, 1000):
        made = []
        for number in range(start, min(start + 1000, alerts)):
            own, others = _events(number, now)
            made += [MappedEvent(f"{number}-{n}", one) for n, one in enumerate([*own, *others])]
        yield made


def _store_alerts(rule: Any, count: int, now: datetime, *, first: int = 0, is_routed: bool = False) -> None:
    from detections.models import Alert

    rows: Iterable[Mapping[str, Any]] = (_row(number, now) for number in range(first, first + count))
    Alert.objects.bulk_create(
        [
            Alert(rule=rule, rule_version=rule.current, title="Benchmark", severity="high", risk_score=73,
                  alert_id=f"{rule.rule_id}-{first + n}", routed_at=now if is_routed else None, **row)
            for n, row in enumerate(rows)
        ],
        batch_size=500,
    )  # fmt: skip


def _row(number: int, now: datetime) -> dict[str, Any]:
    own, _others = _events(number, now)
    times = [datetime.fromisoformat(one["@timestamp"]) for one in own]
    return {
        "events": [
            {"identity": f"{number}-{n}", "ingest": 1, "arrived_at": now.isoformat(), "document": one}
            for n, one in enumerate(own)
        ],
        "host_id": own[0]["host"]["id"],
        "host_name": own[0]["host"]["name"],
        "first_event_at": times[0],
        "last_event_at": times[-1],
        "detected_at": now - timedelta(minutes=90) + timedelta(seconds=number % 3000),
    }


if __name__ == "__main__":
    main()
