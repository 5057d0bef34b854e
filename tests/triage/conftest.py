"""Cases made row by row, so that each test sees exactly what it needs."""

from datetime import timedelta

import pytest
from django.utils import timezone

from detections.models import Rule
from triage.enums import PivotState
from triage.models import Case, Evidence, PivotRun, Question

HOSTILE = "evil\u202egpj.exe\u200b<script>alert(1)</script>"


@pytest.fixture
def rule(db) -> Rule:
    return Rule.objects.create(rule_id="r1", name="Found it", type="eql", severity="high", risk_score=73)


@pytest.fixture
def make_case(rule):
    """A case with one question. `number` makes its key; other arguments are its columns."""

    def make(number: int = 1, **columns) -> Case:
        now = timezone.now()
        case = Case.objects.create(
            key=f"{number:064d}",
            rule=rule,
            **{
                "title": "Found it",
                "severity": "high",
                "risk_score": 73,
                "host_name": f"host-{number}",
                "host_id": f"id-{number}",
                "questions_total": 1,
                "first_event_at": now,
                "last_event_at": now,
                "opened_at": now,
                "due_at": now + timedelta(hours=4),
                "last_activity_at": now,
                **columns,
            },
        )
        Question.objects.create(case=case, key="verdict", position=1, title="What does it say?")
        return case

    return make


@pytest.fixture
def make_pivot():
    """A pivot run of the case's question, in a state, with rows."""

    def make(case: Case, state: PivotState, rows: int = 0, **columns) -> PivotRun:
        now = timezone.now()
        run = PivotRun.objects.create(
            case=case,
            question_key="verdict",
            state=state,
            **{
                "key": str(state),
                "label": f"Pivot {state}",
                "window_start": now - timedelta(hours=1),
                "window_end": now,
                "started_at": now,
                "finished_at": now,
                "took_ms": 12,
                "total": rows,
                "kept": rows,
                "columns": ["process.name"],
                "query": [[{"field": "host.id", "operator": "is", "values": ["h"], "excluded": False}]],
                **columns,
            },
        )
        Evidence.objects.bulk_create(
            Evidence(
                pivot=run,
                position=number,
                identity=f"{run.pk}-{number}",
                event_at=now,
                document={"process": {"name": HOSTILE}, "number": number},
                sha256="0" * 64,
            )
            for number in range(1, rows + 1)
        )
        return run

    return make
