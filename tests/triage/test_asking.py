"""What people ask: other windows and hosts, values elsewhere, queries of their own; rarity."""

from datetime import UTC, datetime, timedelta

import pytest

from detections import outbox
from detections.actors import NotPermittedError
from detections.eql.parser import parse
from detections.errors import EqlError
from detections.event_store import event_store
from detections.models import JournalEntry
from tests.factories.events import attack, mapped, mshta_connection, mshta_start
from tests.triage.test_pivots import AT, newest, open_case
from triage import asking, comparison, look_ups
from triage.asking import Value, follow_up, own_eql, own_filters, value_in
from triage.checks import verdict
from triage.enums import CheckState, PivotScope, PivotState
from triage.errors import TriageError
from triage.evidence import is_unchanged, latest_runs, shown_runs
from triage.gate import gate
from triage.guides.model import Check, Points, Rare
from triage.models import LookUp, PivotRun
from triage.own_queries import FilterRow, QueryRefusedError
from triage.pivot_windows import Reach, span_of, span_text
from triage.pivots import rerun
from triage.rarity import Rarity, rarity

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)
ELSEWHERE = Reach(24 * HOUR, HOUR, PivotScope.OTHERS)
EVERYWHERE = Reach(24 * HOUR, HOUR, PivotScope.ALL)


def asked(run):
    outbox.drain()
    return PivotRun.objects.get(pk=run.pk)


@pytest.fixture
def case(store):
    store.append(mapped(*attack(AT)), batch="b")
    made = open_case()
    outbox.drain()
    return made


def source(case):
    return next(row for row in newest(case, "alert").rows.all() if "source" in row.document)


def test_a_value_is_found_on_another_host_and_frozen(store, case, analyst):
    store.append(mapped(mshta_connection(AT - HOUR, host="host-2", entity="p-7")), batch="c")
    row = source(case)
    made = follow_up(case, value_in(row, "source.ip"), reach=ELSEWHERE, actor=analyst)
    run = asked(made)
    assert (run.state, run.kept, run.counts, run.from_row) == (PivotState.HITS, 1, False, row)
    assert run.rows.get().document["host"]["id"] == "host-2"
    assert run.asked == {"field": "source.ip", "value": "10.0.0.9"}
    assert is_unchanged(run)
    entry = JournalEntry.objects.get(verb="pivot_asked")
    assert (entry.data["pivot"], entry.data["row"]) == (run.pk, row.pk)


def test_no_hits_elsewhere_counts_the_hosts_that_report(store, case, analyst):
    value = Value("source.ip", "10.0.0.9")
    blind = asked(follow_up(case, value, reach=ELSEWHERE, actor=analyst))
    assert blind.state == PivotState.NO_TELEMETRY
    assert blind.reason == "No other host sent connection telemetry around this time."
    store.append(mapped(mshta_connection(AT, host="host-2", source="10.9.9.9")), batch="c")
    store.append(mapped(mshta_connection(AT, host="host-3", source="10.9.9.9")), batch="d")
    seeing = asked(follow_up(case, value, reach=ELSEWHERE, actor=analyst))
    assert seeing.state == PivotState.NO_HITS
    assert seeing.reason == "No hits on 2 other hosts that send connection telemetry."


def test_what_people_ask_moves_neither_gate_nor_coverage(store, case, analyst):
    before = gate(case), [run.pk for run in latest_runs(case)]
    run = asked(own_eql(case, "file where true", reach=EVERYWHERE, question_key="artifacts", actor=analyst))
    assert run.state == PivotState.NO_TELEMETRY
    assert (gate(case), [one.pk for one in latest_runs(case)]) == before
    assert run.pk in [one.pk for one in shown_runs(case)]


def test_a_narrower_window_is_shown_and_the_gate_goes_by_the_guides(store, case, analyst):
    wide = newest(case, "children")
    narrow = asked(rerun(wide, actor=analyst, reach=Reach(timedelta(), timedelta())))
    assert (narrow.attempt, narrow.counts) == (2, False)
    assert (narrow.window_start, narrow.window_end) == (case.first_event_at, case.last_event_at)
    assert newest(case, "children").pk == wide.pk
    again = asked(rerun(narrow, actor=analyst, reach=Reach()))
    assert (again.attempt, again.counts) == (3, True)
    assert (again.window_start, again.window_end) == (wide.window_start, wide.window_end)


def test_all_hosts_drops_the_host_and_does_not_count(store, case, analyst):
    store.append(mapped(mshta_connection(AT, host="host-2")), batch="c")
    run = asked(rerun(newest(case, "network"), actor=analyst, reach=Reach(scope=PivotScope.ALL)))
    assert {row.document["host"]["id"] for row in run.rows.all()} == {"host-1", "host-2"}
    assert "host.id" not in str(run.query)
    assert run.counts is False
    assert newest(case, "network").kept == 1


def test_eql_of_several_stages_keeps_the_events_of_its_matches(store, case, analyst):
    text = "sequence by process.entity_id with maxspan=1m\n  [process where true]\n  [network where true]"
    run = asked(own_eql(case, text, reach=Reach(HOUR, HOUR, PivotScope.HOST), actor=analyst))
    assert (run.state, run.kept) == (PivotState.HITS, 2)
    assert run.query[0]["eql"] == text
    other = asked(own_eql(case, text, reach=ELSEWHERE, actor=analyst))
    assert other.state == PivotState.NO_TELEMETRY


def test_a_wrong_query_is_told_with_its_place_and_stores_nothing(case, analyst, outsider):
    with pytest.raises(EqlError) as refused:
        own_eql(case, "process where\n  proces.name == 1", reach=EVERYWHERE, actor=analyst)
    assert (refused.value.line, refused.value.column) == (2, 3)
    with pytest.raises(QueryRefusedError, match=r"Row 1: there is no field .*Did you mean process\.name\?"):
        own_filters(case, [FilterRow("process.nam", "is", "x")], reach=EVERYWHERE, actor=analyst)
    with pytest.raises(QueryRefusedError, match="would read everything"):
        own_filters(case, [FilterRow("process.name", "is_not", "x")], reach=EVERYWHERE, actor=analyst)
    with pytest.raises(NotPermittedError):
        own_eql(case, "process where true", reach=EVERYWHERE, actor=outsider)
    assert not PivotRun.objects.exclude(origin="guide").exists()


def test_filters_are_asked_as_written(store, case, analyst):
    rows = [FilterRow("destination.port", "is", "50002"), FilterRow("source.ip", "in_network", "10.0.0.0/8")]
    run = asked(own_filters(case, rows, reach=EVERYWHERE, actor=analyst))
    assert (run.state, run.kept) == (PivotState.HITS, 1)
    assert run.label == "destination.port is 50002 and source.ip is in network 10.0.0.0/8"


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (FilterRow("process.name", "is_one_of", " , ,"), "write a value, or choose that the field exists"),
        (
            FilterRow("source.ip", "in_network", "10.0.0.0/99"),
            '"10.0.0.0/99" is no network, as 10.0.0.0/8 is',
        ),
        (FilterRow("process.name", "in_network", "10.0.0.0/8"), "process.name holds no addresses"),
        (FilterRow("source.ip", "is", "10.0.0.0/8"), 'and "10.0.0.0/8" is none. For a network choose'),
        (FilterRow("source.ip", "is_one_of", "10.0.0.9, x"), 'source.ip holds addresses, and "x" is none'),
        (FilterRow("process.pid", "is_not", "abc"), 'process.pid holds whole numbers, and "abc" is none'),
    ],
)
def test_a_value_that_a_field_never_holds_is_refused_with_its_row(case, analyst, row, says):
    rows = [FilterRow(" ", "is", " "), FilterRow("host.name", "exists", ""), row]
    with pytest.raises(QueryRefusedError) as refused:
        own_filters(case, rows, reach=EVERYWHERE, actor=analyst)
    assert says in str(refused.value)
    assert refused.value.row == 3
    assert not PivotRun.objects.exclude(origin="guide").exists()


def test_a_field_that_only_has_to_exist_keeps_no_value(store, case, analyst):
    rows = [FilterRow("source.ip", "in_network", "10.0.0.9/8"), FilterRow("source.ip", "exists", "unused")]
    run = asked(own_filters(case, rows, reach=EVERYWHERE, actor=analyst))
    assert run.label == "source.ip is in network 10.0.0.9/8 and source.ip exists"
    assert run.state == PivotState.HITS


@pytest.mark.parametrize(
    ("field", "value"), [("destination.port", 135), ("source.ip", "127.0.0.1"), ("process.name", "")]
)
def test_what_says_nothing_elsewhere_is_not_followed(case, analyst, field, value):
    with pytest.raises(TriageError, match="says nothing on other hosts"):
        follow_up(case, Value(field, value), reach=ELSEWHERE, actor=analyst)


def test_a_closed_case_is_asked_nothing(case, analyst):
    type(case).objects.update(status="closed", disposition="malicious", closed_at=AT)
    with pytest.raises(TriageError, match="is closed"):
        follow_up(case, Value("source.ip", "10.0.0.9"), reach=ELSEWHERE, actor=analyst)


def test_rarity_says_over_which_stretch(store):
    store.append(
        mapped(mshta_start(AT - timedelta(days=40)), mshta_connection(AT), mshta_connection(AT, host="h-2")),
        batch="b",
    )
    found = rarity("source.ip", "10.0.0.9", days=30, until=AT + HOUR)
    assert (found.hosts, found.events, found.first_seen, found.is_whole) == (2, 2, AT, True)
    assert found.sentence() == "2 hosts, 2 events in the last 30 days, first seen 2026-03-18 09:41 UTC"
    young = rarity("source.ip", "10.0.0.9", days=90, until=AT + HOUR)
    assert young.is_whole is False
    assert "all that the store holds" in young.sentence()


def test_live_against_frozen_shows_added_gone_and_changed(store, case, analyst):
    run = newest(case, "network")
    assert comparison.compare(run).data()["same"] == 1
    late = mshta_connection(AT + timedelta(minutes=5))
    store.append(mapped(late), batch="c")
    row = run.rows.get()
    row.document["network"]["transport"], row.sha256 = "udp", "0" * 64
    row.save()
    found = comparison.compare(run).data()
    assert (found["added_total"], found["gone_total"], found["same"]) == (1, 0, 0)
    assert found["changed"] == [{"row": row.pk, "fields": ["network.transport"]}]
    row.identity = "gone"
    row.save()
    assert comparison.compare(run).data()["gone"] == [row.pk]


def test_a_look_up_is_answered_by_the_outbox_and_not_asked_twice(case, analyst):
    first = look_ups.of_rarity(case, "source.ip", "10.0.0.9", actor=analyst)
    assert look_ups.of_rarity(case, "source.ip", "10.0.0.9", actor=analyst) == first
    outbox.drain()
    row = LookUp.objects.get()
    assert (row.state, row.result["hosts"]) == ("done", 1)
    look_ups.prune(before=datetime.now(UTC) + HOUR)
    assert not LookUp.objects.exists()


@pytest.mark.parametrize(
    ("text", "length"), [("30m", HOUR / 2), ("48h", 48 * HOUR), ("7d", 168 * HOUR), ("2", 2 * HOUR)]
)
def test_lengths_of_time_are_read_as_written(text, length):
    assert span_of(text) == length
    assert span_of(span_text(length)) == length


def test_a_length_that_is_none_is_refused():
    for text in ("", "soon", "-3h", "900000d"):
        with pytest.raises(TriageError):
            span_of(text)


def test_too_many_are_refused(case, analyst, monkeypatch):
    monkeypatch.setattr(asking, "MOST_OF_A_CASE", 0)
    with pytest.raises(TriageError, match="takes no more"):
        own_eql(case, "process where true", reach=EVERYWHERE, actor=analyst)


RARE = Check(
    "rare",
    "q",
    "network",
    Points.ESCALATE,
    parse("network where true"),
    "network where true",
    "It is rare.",
    rare=Rare("source.ip", 1, 30),
)


@pytest.mark.parametrize(
    ("hosts", "is_whole", "state"),
    [
        (1, True, CheckState.FIRED),
        (1, False, CheckState.UNKNOWN),
        (2, True, CheckState.QUIET),
        (2, False, CheckState.QUIET),
    ],
)
def test_a_check_on_rarity_is_unsure_where_the_store_is_young(case, hosts, is_whole, state):
    run = newest(case, "network")
    found = Rarity("source.ip", "10.0.0.9", 30, hosts, 5, AT, AT, AT - HOUR, AT, is_whole)
    rarities = {("source.ip", "10.0.0.9"): found}
    documents = [row.document for row in run.rows.all()]
    said = verdict(RARE, run, documents, event_store().known_fields(), rarities=rarities)
    assert said.state == state
    if state == CheckState.FIRED:
        assert said.saw.startswith("source.ip 10.0.0.9: 1 host, 5 events in the last 30 days")


def test_the_shipped_checks_on_rarity_look_their_values_up(store, case):
    found = {check.key: check.state for check in case.checks.all()}
    assert found["destination_rare"] == CheckState.QUIET
    assert found["name_rare"] == CheckState.UNKNOWN
