"""How long a new case takes to have its evidence: from its alert to the last pivot frozen and checked.

    python -m benchmarks.case_pivots [--events N] [--folder PATH]

Fills a data folder of its own (PATH, else a temporary one; a filled one is used again), lets the shipped
rule find the shipped attack among the telemetry, and times what follows.
"""

import argparse
import os
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=300_000)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="case-pivots-"))
    os.environ["CASEWRIGHT_DATA"] = str(folder)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    os.environ.setdefault("LOG_LEVEL", "WARNING")
    import django

    django.setup()
    measure(options.events)


def measure(count: int) -> None:
    """Print the figures."""
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    _fill(count)
    case_count, seconds, pivots = _opened()
    print(f"{count:,} events: {case_count} case, {pivots} pivots and their checks in {seconds:.2f} s")


def _fill(count: int) -> None:
    from benchmarks.store import batches
    from detections.event_store import embedded_store

    store = embedded_store()
    if store.statistics()["rows"] >= count:
        return
    for number, batch in enumerate(batches(count)):
        store.append(batch, batch=f"benchmark-{number}")
    store.compact()


def _opened() -> tuple[int, float, int]:
    import detections
    from detections import outbox
    from detections.actors import system
    from detections.enums import RunTrigger
    from detections.event_store import event_store
    from detections.imports import import_captures
    from detections.rule_loading import load_rules
    from detections.run import run_rules
    from triage.models import Case, PivotRun
    from triage.routing import route_alerts

    actor, home = system("benchmark"), Path(detections.__file__).parent
    rules = [home / "rules" / "lateral_movement_dcom_mshta.toml"]
    rule = load_rules(rules, actor=actor, enable=True, shipped=True).rules[0]
    retime = datetime.now(UTC)
    import_captures(
        [_moved(home / "scenarios" / "malicious.ndjson", retime)], store=event_store(), actor=actor
    )
    rule.refresh_from_db()
    run_rules([rule], actor=actor, trigger=RunTrigger.MANUAL)
    before = Case.objects.count()
    began = time.perf_counter()
    route_alerts(actor=actor)
    outbox.drain()
    seconds = time.perf_counter() - began
    case = Case.objects.order_by("-pk")[0]
    pivots = PivotRun.objects.filter(case=case, finished_at__isnull=False).count()
    return Case.objects.count() - before, seconds, pivots


def _moved(path: Path, now: datetime) -> Path:
    """A copy whose events bear ids of this run, so that a folder can be measured again."""
    copy = Path(tempfile.mkdtemp()) / f"attack-{int(now.timestamp())}.ndjson"
    text = path.read_text().replace('"entity_id":"', f'"entity_id":"{int(now.timestamp())}-')
    copy.write_text(text.replace('"entity_id": "', f'"entity_id": "{int(now.timestamp())}-'))
    return copy


if __name__ == "__main__":
    main()
