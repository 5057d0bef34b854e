"""Pivots: asked once, frozen, and honest about what they could not see."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from detections import outbox
from detections.actors import NotPermittedError
from detections.enums import SegmentState
from detections.errors import StoreError
from detections.models import JournalEntry, OutboxRow, Segment
from detections.stores.base import Completeness, Page
from tests.factories.cases import ACTOR, alert, shipped_rule
from tests.factories.events import attack, mapped, mshta_start
from tests.factories.rules import rule
from triage import pivot_search, pivots
from triage.enums import CheckState, PivotState
from triage.errors import TriageError
from triage.evidence import latest_runs, set_pinned
from triage.models import Case, CheckResult, PivotRun
from triage.pivot_windows import Reach
from triage.pivots import rerun, run_pivot
from triage.routing import route_alerts

pytestmark = pytest.mark.django_db
AT = datetime(2026, 3, 18, 9, 41, tzinfo=UTC)


def open_case(documents=None, at=AT, name="a1"):
    """A case of the shipped rule, its pivots still to run."""
    documents = documents or attack(at)
    alert(shipped_rule(), documents, at, name=name)
    route_alerts(actor=ACTOR)
    return Case.objects.get()


def newest(case, key):
    return next(run for run in latest_runs(case) if run.key == key)


class FailingStore:
    """A store that can't answer, or answers in part."""

    def __init__(self, real, *, error=None, missing=()):
        self.real, self.error, self.missing = real, error, missing

    def __getattr__(self, name):
        return getattr(self.real, name)

    def search(self, filters, window, *, limit, head=None):
        if self.error:
            raise self.error
        return Page((), 0, Completeness(segments=("a",), missing=self.missing))


def break_store(monkeypatch, store, **fault):
    monkeypatch.setattr(pivot_search, "event_store", lambda: FailingStore(store, **fault))


def test_a_pivot_runs_once_however_often_it_is_delivered(store):
    store.append(mapped(*attack(AT)), batch="b")
    case = open_case()
    run = newest(case, "network")
    first = run_pivot(run.pk, actor=ACTOR)
    assert (first.state, first.kept, first.segments != []) == (PivotState.HITS, 1, True)
    assert run_pivot(run.pk, actor=ACTOR) is None
    assert first.rows.count() == 1


def test_a_missing_value_blocks_with_the_fields_name(store):
    document = mshta_start(AT)
    del document["process"]["entity_id"]
    run = newest(open_case([document]), "network")
    assert (run.state, run.reason) == (
        PivotState.BLOCKED,
        "process.entity_id: The alert has no process.entity_id.",
    )
    assert not OutboxRow.objects.filter(subject=run.pk, kind="run_pivot").exists()


def test_values_that_differ_block(store):
    run = newest(open_case([mshta_start(AT, entity="p-1"), mshta_start(AT, entity="p-2")]), "network")
    assert run.state == PivotState.BLOCKED
    assert "differs between the alert's events" in run.reason


def test_no_telemetry_says_when_it_was_last_seen(store):
    old = mshta_start(AT - timedelta(days=30))
    old["event"]["category"], old["file"] = ["file"], {"path": "C:\\x"}
    store.append(mapped(old, *attack(AT)), batch="b")
    case = open_case()
    outbox.drain()
    run = newest(case, "files")
    assert (run.state, run.reason) == (
        PivotState.NO_TELEMETRY,
        "No file telemetry from host host-1; last seen 2026-02-16 09:41:00 UTC.",
    )


def test_no_hits_is_said_where_the_telemetry_exists(store):
    store.append(mapped(*attack(AT), mshta_start(AT, entity="p-9")), batch="b")
    run = newest(open_case(), "children")
    assert run_pivot(run.pk, actor=ACTOR).state == PivotState.NO_HITS


def test_a_failing_store_is_a_failed_pivot_that_is_tried_again(store, monkeypatch):
    store.append(mapped(*attack(AT)), batch="b")
    case = open_case()
    run, before = newest(case, "network"), case.blocked_count
    with monkeypatch.context() as patch:
        break_store(patch, store, error=StoreError("The disk is gone. Check the data folder."))
        with pytest.raises(pivots.PivotFailedError, match="The disk is gone"):
            pivots.deliver_run(run.pk)
    failed = newest(case, "network")
    assert (failed.state, failed.reason) == (
        PivotState.FAILED,
        "The disk is gone. Check the data folder.",
    )
    case.refresh_from_db()
    assert case.blocked_count == before + 1
    pivots.deliver_run(run.pk)
    case.refresh_from_db()
    assert (newest(case, "network").state, case.blocked_count) == (PivotState.HITS, before)


def test_a_search_in_part_is_partial(store, monkeypatch):
    case = open_case()
    break_store(monkeypatch, store, missing=("seg-2",))
    run = run_pivot(newest(case, "network").pk, actor=ACTOR)
    assert run.state == PivotState.PARTIAL
    assert run.reason == "1 of 2 parts could not be searched: seg-2. Run it again."


def test_telemetry_that_may_lie_in_an_unreadable_segment_is_not_called_absent(store, event_folder):
    store.append(mapped(*attack(AT)), batch="b")
    case = open_case()
    store.append(mapped(mshta_start(AT - timedelta(hours=2), entity="p-9")), batch="c")
    lost = Segment.objects.get(batch="c")
    (event_folder / lost.path).unlink()
    Segment.objects.filter(pk=lost.pk).update(state=SegmentState.UNREADABLE)
    run = run_pivot(newest(case, "files").pk, actor=ACTOR)
    assert run.state == PivotState.PARTIAL
    assert run.reason == f"1 of 2 parts could not be searched: {lost.path}. Run it again."


def test_a_run_whose_worker_died_is_taken_again(store):
    store.append(mapped(*attack(AT)), batch="b")
    run = newest(open_case(), "network")
    PivotRun.objects.filter(pk=run.pk).update(state=PivotState.RUNNING, started_at=AT)
    assert run_pivot(run.pk, actor=ACTOR).state == PivotState.HITS


def test_who_lost_the_run_meanwhile_stores_nothing(store, monkeypatch):
    store.append(mapped(*attack(AT)), batch="b")
    run = newest(open_case(), "network")
    original = pivots.search

    def overtaken(*arguments):
        PivotRun.objects.filter(pk=run.pk).update(started_at=AT)
        return original(*arguments)

    monkeypatch.setattr(pivots, "search", overtaken)
    assert run_pivot(run.pk, actor=ACTOR) is None
    assert newest(run.case, "network").rows.count() == 0


def test_a_window_that_is_not_over_is_searched_again_when_it_is(store):
    with time_machine.travel(AT + timedelta(minutes=10), tick=False) as clock:
        store.append(mapped(*attack(AT)), batch="b")
        case = open_case()
        outbox.drain()
        run = newest(case, "network")
        assert run.is_still_filling
        assert run.window_end == AT + timedelta(minutes=10)
        late = attack(AT + timedelta(minutes=40))[1]
        store.append(mapped(late), batch="c")
        clock.move_to(AT + timedelta(hours=1, minutes=5))
        outbox.drain()
    again = newest(case, "network")
    case.refresh_from_db()
    assert (again.attempt, again.kept, again.is_still_filling) == (2, 2, False)
    assert case.has_new_evidence is True
    assert run.rows.count() == 1


def test_again_and_wider_is_a_new_attempt(store, analyst):
    case = open_case()
    outbox.drain()
    first = newest(case, "network")
    wide = Reach(timedelta(days=5), timedelta(hours=3))
    second = rerun(first, actor=analyst, reach=wide)
    assert (second.attempt, second.state, second.counts) == (2, PivotState.NOT_RUN, True)
    assert second.window_start == case.first_event_at - timedelta(days=5)
    assert second.window_end == case.last_event_at + timedelta(hours=3)
    assert rerun(second, actor=analyst).pk == second.pk
    outbox.drain()
    assert newest(case, "network").state != PivotState.NOT_RUN
    assert JournalEntry.objects.filter(verb="pivot_requested").count() == 2


def test_running_again_needs_a_right_and_an_open_case(store, analyst, outsider):
    case = open_case()
    with pytest.raises(NotPermittedError):
        rerun(newest(case, "network"), actor=outsider)
    with pytest.raises(TriageError, match="alert's own events"):
        rerun(newest(case, "alert"), actor=analyst)
    Case.objects.update(status="closed", disposition="malicious", closed_at=AT)
    with pytest.raises(TriageError, match="is closed"):
        rerun(newest(case, "network"), actor=analyst)


def test_related_alerts_leave_out_the_cases_own(store):
    case = open_case()
    other = rule("other", name="Other rule")
    alert(other, [mshta_start(AT, entity="p-2")], AT - timedelta(hours=5), name="b1")
    alert(other, [mshta_start(AT, entity="p-3", host="host-2")], AT, name="b2")
    route_alerts(actor=ACTOR)
    run = run_pivot(newest(case, "host_alerts").pk, actor=ACTOR)
    (row,) = run.rows.all()
    assert (run.state, row.identity) == (PivotState.HITS, "b1")
    assert row.document["kibana"]["alert"]["rule"]["name"] == "Other rule"


def test_a_new_alert_makes_its_hosts_open_cases_look_again_a_minute_later(store):
    """What was found stays until then, and a burst of alerts makes one search."""
    case = open_case()
    outbox.drain()
    assert newest(case, "host_alerts").state == PivotState.NO_HITS
    other = rule("other")
    for number in (2, 3):
        begun = mshta_start(AT, entity=f"p-{number}")
        alert(other, [begun], AT - timedelta(hours=5), name=f"b{number}")
        route_alerts(actor=ACTOR)
    first = newest(case, "host_alerts")
    assert (first.attempt, first.state) == (1, PivotState.NO_HITS)
    asked = OutboxRow.objects.filter(kind="refresh_pivot", subject=first.pk)
    assert asked.earliest("pk").not_before > datetime.now(UTC)
    asked.update(not_before=datetime.now(UTC))
    outbox.drain()
    again = newest(case, "host_alerts")
    assert (again.attempt, again.state, again.rows.count()) == (2, PivotState.HITS, 2)


def test_a_check_is_not_quiet_where_it_could_not_look(store):
    store.append(mapped(*attack(AT)), batch="b")
    case = open_case()
    outbox.drain()
    found = {check.key: check.state for check in CheckResult.objects.filter(case=case)}
    assert found["program_written"] == CheckState.UNKNOWN
    assert found["signer_unexpected"] == CheckState.UNKNOWN


def test_a_storm_asks_nothing_of_one_host(store, product):
    made = shipped_rule()
    made.max_cases = 0
    made.save()
    alert(made, attack(AT), AT)
    route_alerts(actor=product)
    case = Case.objects.get(is_storm=True)
    runs = [run for run in latest_runs(case) if run.key != "alert"]
    assert {run.state for run in runs} == {PivotState.BLOCKED}
    outbox.drain()
    assert case.pivots.exclude(key="alert").exclude(state="blocked").count() == 0


def test_pinning_is_journaled_once(store, analyst):
    case = open_case()
    row = newest(case, "alert").rows.first()
    set_pinned(row, True, actor=analyst)
    set_pinned(row, True, actor=analyst)
    assert JournalEntry.objects.filter(verb="evidence_pinned").count() == 1
    set_pinned(row, False, actor=analyst)
    row.refresh_from_db()
    assert row.pinned_at is None


def test_each_event_of_the_alert_bears_its_own_time(store):
    case = open_case()
    times = [row.event_at for row in newest(case, "alert").rows.all()]
    assert times == [case.first_event_at, case.last_event_at]
    assert times[0] < times[1]
