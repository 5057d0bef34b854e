"""Two cases become one and two again: exactly the same rows move, and both journals say so."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier

import pytest
from django.db import connection

from detections import invariants
from detections.actors import NotPermittedError, of_user, system
from detections.journal import verify
from detections.models import Alert, JournalStream
from tests.conftest import person
from tests.factories.cases import alert
from tests.factories.events import attack
from tests.factories.rules import rule
from triage.case_links import link, unlink
from triage.cases import close_case
from triage.errors import StaleEditError, TriageError
from triage.journal import case_journal
from triage.merging import merge, undo, why_not_undo
from triage.models import Case, CaseLink, CaseMerge
from triage.questions import answer_question
from triage.routing import route_alerts

pytestmark = pytest.mark.django_db
AT = datetime(2026, 3, 18, 9, 41, tzinfo=UTC)


def opened(count=2, made=None):
    """Cases of one rule without a guide, with an alert each; a second call adds to their keys."""
    made = made or rule()
    for number in range(count):
        at = AT + timedelta(hours=number)
        alert(made, attack(at, entity=f"p-{number}"), at, name=f"a{number}-{Alert.objects.count()}")
    route_alerts(actor=system("test"))
    return list(Case.objects.order_by("pk"))


def join(source, target, actor, **more):
    versions = {"source_version": source.version, "target_version": target.version, **more}
    return merge(source, target, reason="One intrusion.", actor=actor, **versions)


def alerts(case):
    return sorted(case.occurrences.values_list("alert__alert_id", flat=True))


def fresh(*cases):
    for case in cases:
        case.refresh_from_db()
    return cases


def verbs(case, actor):
    return [line.verb for line in case_journal(case, actor=actor)]


def test_the_occurrences_move_and_the_emptied_case_is_a_duplicate(store, analyst):
    a, b = opened()
    moved = [*alerts(a), *alerts(b)]
    join(b, a, analyst)
    fresh(a, b)
    assert (alerts(a), alerts(b)) == (sorted(moved), [])
    assert (b.status, b.disposition, b.closing_rationale) == ("closed", "duplicate", "One intrusion.")
    assert (a.occurrence_count, b.occurrence_count) == (2, 0)
    assert (a.first_event_at, a.has_new_evidence) == (AT, True)
    assert CaseLink.objects.get(source=b, target=a).kind == "duplicate_of"
    assert "case_merged_here" in verbs(a, analyst)
    assert verbs(b, analyst)[:2] == ["case_merged_away", "case_closed"]
    assert a.pivots.filter(key__startswith="alert").count() == 2


def test_undoing_moves_exactly_these_back_and_reopens(store, analyst):
    a, b = opened()
    before = (alerts(a), alerts(b))
    made = join(b, a, analyst)
    undo(made, reason="Two hosts after all.", actor=analyst)
    fresh(a, b)
    assert (alerts(a), alerts(b)) == before
    assert (b.status, b.disposition, b.closed_at, b.occurrence_count) == ("open", "undetermined", None, 1)
    assert a.occurrence_count == 1
    assert [row.removed_reason for row in CaseLink.objects.all()] == ["Two hosts after all."]
    assert (verbs(a, analyst)[0], verbs(b, analyst)[0]) == ("merge_undone", "merge_undone")
    with pytest.raises(TriageError, match="undid this merge already"):
        undo(made, reason="again", actor=analyst)
    assert [fault for fault in invariants.broken() if "CW-" in fault] == []


def test_what_comes_on_the_merged_key_joins_and_stays_when_it_is_undone(store, analyst):
    made_rule = rule()
    a, b = opened(made=made_rule)
    made = join(b, a, analyst)
    opened(made=made_rule)
    assert Case.objects.count() == 2
    assert len(alerts(a)) == 4
    undo(made, reason="Two hosts after all.", actor=analyst)
    assert (len(alerts(a)), len(alerts(b))) == (3, 1)


def test_refused(store, analyst, outsider):
    a, b, c = opened(3)
    with pytest.raises(NotPermittedError):
        join(b, a, outsider)
    with pytest.raises(TriageError, match="is this case"):
        join(a, a, analyst)
    with pytest.raises(StaleEditError):
        join(b, a, analyst, target_version=a.version + 1)
    made = join(b, a, analyst)
    with pytest.raises(TriageError, match="is closed"):
        join(*fresh(c, b), analyst)
    onward = join(*fresh(a, c), analyst)
    assert why_not_undo(made) == f"{a.number} was itself merged into {c.number}. Undo that merge first."
    undo(onward, reason="Not that one.", actor=analyst)
    assert why_not_undo(made) == ""
    Case.objects.filter(pk=c.pk).update(key=b.key)
    assert why_not_undo(made).startswith(f"{c.number} was opened on the same activity as {b.number}")


def test_a_closed_case_keeps_what_was_merged_into_it(store, analyst):
    a, b = opened()
    made = join(b, a, analyst)
    answer_question(a.questions.get(), state="escalate", rationale="", actor=analyst, version=1)
    a.refresh_from_db()
    close_case(a, disposition="malicious", rationale="Bad.", actor=analyst, version=a.version)
    with pytest.raises(TriageError, match="is closed"):
        undo(made, reason="x", actor=analyst)


@pytest.mark.django_db(transaction=True)
def test_of_two_who_merge_crosswise_at_once_one_does(store):
    a, b = opened()
    actors = [of_user(person(name, "Analyst")) for name in ("ann", "bob")]
    barrier = Barrier(2)

    def one(source, target, actor):
        barrier.wait()
        try:
            return join(source, target, actor)
        except TriageError as refused:
            return refused
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(one, (a, b), (b, a), actors))
    assert sum(isinstance(result, CaseMerge) for result in results) == 1
    assert sorted(Case.objects.values_list("status", "occurrence_count")) == [("closed", 0), ("open", 2)]
    for stream in JournalStream.objects.all():
        assert verify(stream) == []


def test_links_say_why_and_stay_when_removed(store, analyst):
    a, b = opened()
    with pytest.raises(TriageError, match="Say why"):
        link(a, b, why=" ", actor=analyst)
    made = link(a, b, why="Same mail.", actor=analyst)
    with pytest.raises(TriageError, match="already"):
        link(b, a, why="again", actor=analyst)
    line = case_journal(b, actor=analyst)[0]
    assert (line.verb, line.subject, line.reason) == ("case_linked", a.number, "Same mail.")
    unlink(made, actor=analyst, reason="Another mail.")
    row = CaseLink.objects.get()
    assert (row.removed_by, row.removed_reason) == ("Ana", "Another mail.")
    assert verbs(a, analyst)[0] == verbs(b, analyst)[0] == "case_unlinked"
    assert link(b, a, why="The same after all.", actor=analyst).pk != made.pk
