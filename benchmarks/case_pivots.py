"""How long a new case takes to have its evidence: from its alert to the last pivot frozen and checked.

    python -m benchmarks.case_pivots [--events N] [--times N] [--folder PATH]

Fills a data folder of its own (PATH, else a temporary one; a filled one is used again), lets the shipped
attack happen half an hour before the newest event, on one of the hosts that all the telemetry is of, lets the
shipped rule find it, and times what follows.
"""

import argparse
import json
import os
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

HALF_AN_HOUR = timedelta(minutes=30)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=300_000)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="case-pivots-"))
    os.environ["CASEWRIGHT_DATA"] = str(folder)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    os.environ.setdefault("LOG_LEVEL", "WARNING")
    import django

    django.setup()
    measure(options.events, options.times)


def measure(count: int, times: int) -> None:
    """Print the figures: a line for each attack."""
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    statistics = _filled(count)
    print(f"{statistics['rows']:,} events in {statistics['segments']} files, load {os.getloadavg()[0]:.1f}")
    for _ in range(times):
        print(_opened(statistics["newest"] - HALF_AN_HOUR), flush=True)


def _filled(count: int) -> dict[str, Any]:
    """What the store holds, once it holds so many events."""
    from benchmarks.store import batches
    from detections.event_store import embedded_store

    store = embedded_store()
    if store.statistics()["rows"] < count:
        for number, batch in enumerate(batches(count)):
            store.append(batch, batch=f"benchmark-{number}")
        store.compact()
    return dict(store.statistics())


def _opened(moment: datetime) -> str:
    """Let the attack happen and the rule find it; what a worker then takes, as a line of text."""
    import detections
    from detections import outbox
    from detections.actors import system
    from detections.enums import RunTrigger
    from detections.event_store import event_store
    from detections.imports import import_captures
    from detections.rule_loading import load_rules
    from detections.run import run_rules
    from triage.models import Case, CheckResult, Evidence, PivotRun
    from triage.routing import route_alerts

    actor, home = system("benchmark"), Path(detections.__file__).parent
    rules = [home / "rules" / "lateral_movement_dcom_mshta.toml"]
    rule = load_rules(rules, actor=actor, enable=True, shipped=True).rules[0]
    import_captures(
        [_moved(home / "scenarios" / "malicious.ndjson", moment)], store=event_store(), actor=actor
    )
    rule.refresh_from_db()
    run_rules([rule], actor=actor, trigger=RunTrigger.MANUAL)
    known = set(Case.objects.values_list("pk", flat=True))
    began, worked = time.perf_counter(), time.process_time()
    route_alerts(actor=actor)
    outbox.drain()
    seconds, cpu = time.perf_counter() - began, time.process_time() - worked
    cases = Case.objects.exclude(pk__in=known)
    pivots = PivotRun.objects.filter(case__in=cases, finished_at__isnull=False)
    return (
        f"{cases.count()} case, {pivots.count()} pivots"
        f" ({sum(took or 0 for took in pivots.values_list('took_ms', flat=True)):,} ms of searches),"
        f" {Evidence.objects.filter(pivot__case__in=cases).count()} rows,"
        f" {CheckResult.objects.filter(case__in=cases).count()} checks:"
        f" {seconds:.2f} s, {cpu:.2f} s of CPU"
    )


def _moved(path: Path, moment: datetime) -> Path:
    """A copy that begins at the moment on a host of the telemetry, with processes of its own: a folder can
    be measured again."""
    from benchmarks.telemetry import hash_of

    events = [json.loads(line) for line in path.read_text().splitlines()]
    shift = moment - min(_read(event["@timestamp"]) for event in events)
    mark = f"{int(datetime.now(UTC).timestamp() * 1000)}-"
    for event in events:
        for holder, name in ((event, "@timestamp"), (event["event"], "created")):
            if name in holder:
                holder[name] = f"{_read(holder[name]) + shift:%Y-%m-%dT%H:%M:%S.%fZ}"
        event["host"]["id"] = hash_of("host0000")[:36]
    copy = Path(tempfile.mkdtemp()) / f"attack-{mark}.ndjson"
    text = "\n".join(json.dumps(event) for event in events)
    copy.write_text(text.replace('"entity_id": "', f'"entity_id": "{mark}') + "\n")
    return copy


def _read(text: str) -> datetime:
    return datetime.fromisoformat(text.rstrip("Z")[:26] + "+00:00")


if __name__ == "__main__":
    main()
