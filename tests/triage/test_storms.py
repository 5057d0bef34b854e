"""Storms: every match is stored, one case takes what goes past the cap, and a person splits it."""

import sys
from datetime import UTC, datetime, timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from detections import journal, run, schedules
from detections.actors import NotPermittedError
from detections.enums import RunTrigger
from detections.models import Alert, JournalEntry, JournalStream, OutboxRow, RuleRun
from tests.factories.cases import alert
from tests.factories.events import attack, mapped
from tests.factories.rules import rule as make_rule
from tests.faults import number as number_of
from triage import routing, storms
from triage.errors import TriageError
from triage.models import Case, CaseLink, Occurrence
from triage.routing import deliver_route, route_alerts

pytestmark = pytest.mark.django_db
AT = datetime(2026, 3, 18, 9, 41, tzinfo=UTC)
ALICE, BOB = {"id": "S-1", "name": "alice"}, {"id": "S-2", "name": "bob"}


def run_of(made):
    return RuleRun.objects.create(
        rule=made,
        rule_version=made.current,
        trigger="manual",
        fence=1,
        window_end=AT,
        mark_from=0,
        mark_to=1,
        started_at=AT,
    )


def found(made, number, *, host="h-1", user=ALICE, source="10.0.0.9", entity=None, run=None):
    start, connection = attack(AT + timedelta(seconds=number), host=host, entity=entity or f"p-{number}")
    connection["source"]["ip"] = source
    at = AT + timedelta(seconds=number)
    keys = [["host.id", host], ["process.entity_id", entity or f"p-{number}"]]
    return alert(made, [{**start, "user": user}, connection], at, name=f"a{number}", run=run, join_keys=keys)


@pytest.fixture
def storm(store, product):
    """Seven alerts past a cap of none: two hosts, two users, two sources."""
    made = make_rule(max_cases=0)
    run = run_of(made)
    for number in range(7):
        found(
            made,
            number,
            host="h-1" if number < 5 else "h-2",
            user=ALICE if number < 4 else BOB,
            source="10.0.0.9" if number % 2 else "10.0.0.8",
            run=run,
        )
    route_alerts(actor=product)
    return Case.objects.get()


def shares(case):
    return {one.by: [(share.value, share.count) for share in one.shares] for one in storms.breakdowns(case)}


def test_a_storm_lists_hosts_users_and_sources_with_counts(storm):
    assert shares(storm) == {
        "host": [("h-1", 5), ("h-2", 2)],
        "user": [("alice", 4), ("bob", 3)],
        "source": [("10.0.0.8", 4), ("10.0.0.9", 3)],
    }


def test_a_batch_past_the_cap_is_gathered_with_one_journal_entry(storm):
    verbs = JournalEntry.objects.filter(stream__name=storm.stream).order_by("number")
    assert [entry.verb for entry in verbs] == ["case_opened", "occurrences_added"]
    assert (storm.occurrence_count, storm.occurrences.count()) == (7, 7)
    assert RuleRun.objects.get().cases_capped == 7
    assert storm.last_event_at == AT + timedelta(seconds=8)
    assert Alert.objects.unrouted().count() == 0


def test_splitting_moves_the_occurrences_into_a_case_with_questions_and_pivots(storm, analyst):
    case = storms.split(storm, "host", "h-2", actor=analyst)
    storm.refresh_from_db()
    assert (case.is_storm, case.host_id, case.occurrence_count) == (False, "h-2", 2)
    assert (storm.occurrence_count, storm.occurrences.count(), case.occurrences.count()) == (5, 5, 2)
    assert (case.questions.count(), case.status) == (1, "open")
    assert {one.key for one in case.pivots.all()} >= {"alert", "alert-2"}
    assert case.first_event_at == AT + timedelta(seconds=5)
    assert storm.last_event_at == AT + timedelta(seconds=4)
    assert Occurrence.objects.count() == Alert.objects.count() == 7
    assert CaseLink.objects.get().target == storm


def test_both_journals_say_who_moved_what(storm, analyst):
    case = storms.split(storm, "user", "bob", actor=analyst)
    here = JournalEntry.objects.get(stream__name=case.stream, verb="occurrences_moved_here")
    away = JournalEntry.objects.get(stream__name=storm.stream, verb="occurrences_moved_away")
    assert (here.actor, away.actor) == ("Ana", "Ana")
    assert away.data["subject"] == f"3 of 7 occurrences to {case.number}"
    assert away.data["by"] == "user"
    assert [journal.verify(stream) for stream in JournalStream.objects.all()] == [[]] * 2


def test_what_shares_a_key_anyway_keeps_it_so_that_later_matches_join(store, product, analyst):
    made = make_rule(max_cases=0)
    for number in range(3):
        found(made, number, host="h-1" if number < 2 else "h-2", entity="p-1")
    route_alerts(actor=product)
    case = storms.split(Case.objects.get(), "host", "h-1", actor=analyst)
    assert case.key_fields == [["host.id", "h-1"], ["process.entity_id", "p-1"]]
    found(made, 9, entity="p-1")
    assert route_alerts(actor=product).joined == 1


def test_the_same_split_again_adds_to_the_same_case(storm, analyst, product):
    case = storms.split(storm, "host", "h-1", actor=analyst)
    found(storm.rule, 20, host="h-1", run=RuleRun.objects.get())
    route_alerts(actor=product)
    again = storms.split(storm, "host", "h-1", actor=analyst)
    assert (again.pk, again.occurrence_count, again.has_new_evidence) == (case.pk, 6, True)


def test_a_storm_that_was_split_to_the_end_stays_readable(storm, analyst, client, ana):
    for host in ("h-1", "h-2"):
        storms.split(storm, "host", host, actor=analyst)
    storm.refresh_from_db()
    assert storm.occurrence_count == 0
    client.force_login(ana)
    for name in ("storm", "case_evidence", "case_journal"):
        assert client.get(reverse(name, args=[storm.pk])).status_code == 200
    assert client.get(reverse("case", args=[storm.pk]), follow=True).status_code == 200


@pytest.mark.parametrize(
    ("by", "value", "why"),
    [
        ("host", "h-9", "no alert whose host is h-9"),
        ("host", "", "by a value that is known"),
        ("title", "x", "split by host, user or source"),
    ],
)
def test_a_split_by_nothing_is_refused(storm, analyst, by, value, why):
    with pytest.raises(TriageError, match=why):
        storms.split(storm, by, value, actor=analyst)


def test_only_storms_are_split_and_only_by_who_may(storm, analyst, outsider, product):
    with pytest.raises(NotPermittedError):
        storms.split(storm, "host", "h-1", actor=outsider)
    case = storms.split(storm, "host", "h-2", actor=analyst)
    with pytest.raises(TriageError, match="is no storm case"):
        storms.split(case, "host", "h-2", actor=analyst)


def test_the_page_splits(storm, client, ana, otto):
    client.force_login(otto)
    assert client.get(reverse("storm", args=[storm.pk])).status_code == 404
    client.force_login(ana)
    shown = " ".join(client.get(reverse("storm", args=[storm.pk])).text.split())
    assert "<strong>7 alerts of one rule are held together here</strong>" in shown
    assert shown.count("Split off</button>") == 6
    client.post(reverse("storm_split", args=[storm.pk]), {"by": "host", "value": "h-2"})
    assert Case.objects.filter(is_storm=False).count() == 1


def test_a_batch_that_can_not_be_gathered_goes_one_by_one(store, product, monkeypatch):
    made = make_rule(max_cases=0)
    for number in range(3):
        found(made, number)
    monkeypatch.setattr(routing, "_into_storm_at_once", lambda *_: 1 / 0)
    routed = route_alerts(actor=product)
    assert (routed.capped, routed.failed) == (3, [])
    assert Case.objects.get().occurrence_count == 3


@pytest.mark.slow
def test_thousands_of_matches_in_one_window_are_all_stored(store, product, capsys):
    """Of the full number, 10,000, as many as one search gives at most."""
    matches = number_of(2_500, 10_000)
    began = timezone.now()
    start = began - timedelta(minutes=5)
    made = schedules.set_enabled(make_rule(enabled=False, max_cases=100), True, actor=product)
    documents = []
    for number in range(matches):
        at = start + timedelta(milliseconds=10 * number)
        documents += attack(at, host=f"h-{number % 7}", entity=f"p-{number}")
    for number in range(0, len(documents), 5_000):
        store.append(mapped(*documents[number : number + 5_000]), batch=f"test:{number}")
    ready = timezone.now()
    [ended] = run.run_rules([made], actor=product, trigger=RunTrigger.MANUAL)
    ran = timezone.now()
    deliver_route(None)
    routed = timezone.now()
    ended.refresh_from_db()
    with capsys.disabled():
        sys.stdout.write(f"\n{matches:,} matches: search and store {ran - ready}, route {routed - ran}\n")
    assert (ended.status, ended.alerts_new) == ("succeeded", matches)
    assert (ended.cases_opened, ended.cases_capped) == (100, matches - 100)
    assert Case.objects.count() == 101
    assert Case.objects.get(is_storm=True).occurrence_count == matches - 100
    assert OutboxRow.objects.filter(kind=routing.KIND).count() == 1
