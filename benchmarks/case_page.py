"""How long the pages of a case with many evidence rows take: `python -m benchmarks.case_page [--rows N]`.

Makes a case in a folder of its own, through the product's own functions, and asks for each page through
Django's test client: middleware, session, queries and templates, no network. Prints p50, p95 and queries.
"""

import argparse
import os
import statistics
import tempfile
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

AT = datetime(2026, 3, 18, 9, 41, tzinfo=UTC)
ROWS_A_PIVOT = 500


def main() -> None:
    asked = _arguments()
    with tempfile.TemporaryDirectory(prefix="casewright-bench-") as folder:
        _start(Path(folder))
        case, took = _case(asked.rows)
        print(f"{asked.rows:,} rows frozen and collected in {took:.1f} s")
        print("| page | p50 | p95 | CPU p50 | queries |\n|---|---|---|---|---|")
        for name, address in _pages(case):
            print(_line(name, address, asked.times))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--times", type=int, default=60)
    return parser.parse_args()


def _start(folder: Path) -> None:
    os.environ["CASEWRIGHT_DATA"] = str(folder)
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)
    call_command("collectstatic", interactive=False, verbosity=0)


def _case(rows: int) -> tuple[Any, float]:
    """The case of the shipped malicious story, with so many rows more, a pivot for each 500 of them."""
    from detections import outbox
    from detections.actors import system
    from detections.enums import RunTrigger
    from detections.event_store import event_store
    from detections.imports import import_captures
    from detections.rule_loading import load_rules
    from detections.run import run_rules
    from triage.models import Case

    actor, shipped = system("benchmark"), Path("detections")
    loaded = load_rules(
        [shipped / "rules" / "lateral_movement_dcom_mshta.toml"], actor=actor, enable=True, shipped=True
    )
    import_captures([shipped / "scenarios" / "malicious.ndjson"], store=event_store(), actor=actor)
    run_rules(loaded.rules, actor=actor, trigger=RunTrigger.MANUAL)
    outbox.drain()
    case = Case.objects.get()
    began = perf_counter()
    for number, start in enumerate(range(0, rows, ROWS_A_PIVOT)):
        _pivot(case, number, range(start, min(rows, start + ROWS_A_PIVOT)))
    return case, perf_counter() - began


def _pivot(case: Any, number: int, rows: Iterable[int]) -> None:
    from django.db import transaction

    from triage.enums import PivotState
    from triage.freezing import freeze
    from triage.models import PivotRun
    from triage.pivot_search import Row

    question = case.questions.order_by("position")[number % case.questions_total]
    with transaction.atomic():
        run = PivotRun.objects.create(
            case=case,
            key=f"bench-{number}",
            question_key=question.key,
            label=f"Benchmark {number}",
            state=PivotState.HITS,
            kinds=["connection", "dns", "file"],
            window_start=AT,
            window_end=AT + timedelta(hours=1),
            started_at=AT,
            finished_at=AT,
            took_ms=1,
        )
        freeze(
            run, [Row(f"bench-{n}", AT + timedelta(milliseconds=400 * n), _document(case, n)) for n in rows]
        )
        run.total = run.kept
        run.save()


def _document(case: Any, number: int) -> dict[str, Any]:
    """An event of 1.8 kB, of a kind that changes from one to the next."""
    sort = ("network", "file", "library", "registry", "process", "dns")[number % 6]
    document: dict[str, Any] = {
        "@timestamp": (AT + timedelta(milliseconds=400 * number)).isoformat(),
        "event": {
            "category": ["network" if sort == "dns" else sort],
            "type": ["start"],
            "action": f"{sort}_seen",
        },
        "host": {"id": case.host_id, "name": case.host_name, "ip": ["10.20.14.37"]},
        "process": {
            "entity_id": f"bench-{number % 150}",
            "name": f"program{number % 40}.exe",
            "executable": f"C:\\Program Files\\Vendor\\program{number % 40}.exe",
            "pid": 1000 + number % 150,
            "parent": {"entity_id": f"bench-{number % 150 // 10}", "name": f"program{number % 4}.exe"},
            "command_line": f"C:\\Program Files\\Vendor\\program{number % 40}.exe --job {number}",
            "hash": {"sha256": f"{number % 40 + 1:064x}"},
        },
        "user": {"name": f"user{number % 5}", "domain": "CORP", "id": f"S-1-5-21-1-2-3-{1000 + number % 5}"},
        "message": "x" * 900,
    }
    if sort == "network":
        document["network"] = {"direction": "egress"}
        document["source"] = {"ip": "10.20.14.37", "port": 50000 + number % 9000}
        document["destination"] = {"ip": f"198.51.{number % 100}.{number % 250 + 1}", "port": 443}
    elif sort == "dns":
        document["dns"] = {"question": {"name": f"n{number % 600}.example"}, "resolved_ip": ["203.0.113.9"]}
    elif sort == "file":
        document["file"] = {"path": f"C:\\Users\\Public\\f{number}.tmp"}
    elif sort == "library":
        document["dll"] = {"path": f"C:\\Windows\\System32\\l{number % 300}.dll"}
    elif sort == "registry":
        document["registry"] = {"path": f"HKLM\\SOFTWARE\\Vendor\\{number}"}
    return document


def _pages(case: Any) -> list[tuple[str, str]]:
    from django.urls import reverse

    question = case.questions.order_by("position").first()
    return [
        ("question", reverse("question", args=[case.pk, question.key])),
        ("evidence", reverse("case_evidence", args=[case.pk])),
        ("one pivot, 100 rows", reverse("pivot", args=[case.pk, "bench-0"])),
        ("timeline", reverse("case_timeline", args=[case.pk])),
        (
            "timeline, everything",
            reverse("case_timeline", args=[case.pk]) + "?from=2026-03-18T00:00&to=2026-03-19T00:00",
        ),
        ("observables", reverse("case_observables", args=[case.pk])),
        ("journal", reverse("case_journal", args=[case.pk])),
    ]


def _line(name: str, address: str, times: int) -> str:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    client = _client()
    for _warm in range(5):
        assert client.get(address).status_code == 200, address
    taken, worked = [], []
    for _time in range(times):
        began, before = perf_counter(), process_time()
        client.get(address)
        taken.append((perf_counter() - began) * 1000)
        worked.append((process_time() - before) * 1000)
    with CaptureQueriesContext(connection) as queries:
        client.get(address)
    middle, high, cpu = (
        round(figure)
        for figure in (
            statistics.median(taken),
            statistics.quantiles(taken, n=20)[18],
            statistics.median(worked),
        )
    )
    return f"| {name} | {middle} ms | {high} ms | {cpu} ms | {len(queries)} |"


def _client() -> Any:
    from django.contrib.auth.models import Group, User
    from django.test import Client

    user, is_new = User.objects.get_or_create(username="bench")
    if is_new:
        user.groups.set(Group.objects.filter(name="Lead"))
    client = Client()
    client.force_login(user)
    return client


if __name__ == "__main__":
    main()
