"""Which alerts an exception hides, which it leaves, and what waits."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from detections.actors import NotPermittedError
from detections.errors import StoreError
from detections.models import Alert, JournalEntry, OutboxRow
from detections.outbox import drain
from tests.factories.cases import alert
from tests.factories.events import attack, mapped, mshta_start
from tests.factories.exceptions import NO_CHILD, NO_OTHER, ONE_LOOKUP, PLAIN, active
from tests.factories.rules import rule as make_rule
from triage.errors import TriageError
from triage.exception_items import recovery as exception_recovery
from triage.exception_items import routing as exception_routing
from triage.exception_items import states as exception_states
from triage.exception_items import watch as exception_watch
from triage.exception_items.integrity import faults
from triage.exception_items.retroactive import apply_to_existing
from triage.invariants import routed_alerts_are_in_cases
from triage.models import Case, ExceptionReview, ExceptionVersion, Suppression
from triage.routing import RoutingError, deliver_route, route_alerts

pytestmark = pytest.mark.django_db
AT = datetime(2026, 3, 18, 9, 41, tzinfo=UTC)
SINCE = AT - timedelta(days=1)
LATER = AT + timedelta(hours=3)
FULL = (*PLAIN, ONE_LOOKUP, NO_OTHER, NO_CHILD)


@pytest.fixture
def rule(store):
    return make_rule()


@pytest.fixture(autouse=True)
def clock():
    """Three hours after the events: every window is over."""
    with time_machine.travel(LATER, tick=True) as traveller:
        yield traveller


def lookup(name="dist.corp.example", *, entity="p-1", host="host-1", at=AT):
    return {
        **mshta_start(at + timedelta(seconds=3), host=host, entity=entity),
        "event": {"kind": "event", "category": ["network"], "type": ["protocol"]},
        "dns": {"question": {"name": name}},
    }


def child(*, parent="p-1", host="host-1", at=AT):
    started = mshta_start(at + timedelta(seconds=4), host=host, entity=f"child-of-{parent}")
    return {**started, "process": {**started["process"], "parent": {"entity_id": parent}}}


def seen(store, *documents):
    """Telemetry of the host: the start of the process, and what else is given."""
    store.append(mapped(*attack(AT), *documents), batch=f"b{len(documents)}-{id(documents)}")


def in_force(rule, analyst, lead, *entries, **fields):
    return active(rule, *entries, by=analyst, approver=lead, since=SINCE, **fields)


def test_an_alert_of_the_workflow_is_hidden_and_named(rule, analyst, lead, product):
    version = in_force(rule, analyst, lead)
    hidden = alert(rule, attack(AT), AT)
    assert route_alerts(actor=product).hidden == 1
    row = Suppression.objects.get()
    assert (row.alert, row.version, row.host, row.source) == (hidden, version, "host-1", "10.0.0.9")
    assert (Case.objects.count(), Alert.objects.unrouted().count()) == (0, 0)
    version.refresh_from_db()
    assert (version.hits, version.last_hit_at) == (1, row.at)
    assert JournalEntry.objects.get(verb="alerts_hidden").data == {version.label: [hidden.pk]}
    assert (list(faults()), list(routed_alerts_are_in_cases())) == ([], [])


@pytest.mark.parametrize(
    ("documents", "is_hidden"),
    [
        ([lookup()], True),
        ([], False),
        ([lookup("evil.example")], False),
        ([lookup(), lookup("evil.example")], False),
        ([lookup(), child()], False),
        ([lookup(), child(parent="another")], True),
        ([lookup(host="host-2")], False),
        ([lookup(entity="another")], False),
    ],
    ids=[
        "as confirmed",
        "no dns",
        "other name",
        "one more name",
        "a child",
        "a strange child",
        "elsewhere",
        "another's",
    ],
)
def test_each_clause_must_be_seen_to_hold(store, rule, analyst, lead, product, documents, is_hidden):
    in_force(rule, analyst, lead, *FULL)
    seen(store, *documents)
    alert(rule, attack(AT), AT)
    route_alerts(actor=product)
    assert (Suppression.objects.count(), Case.objects.count()) == ((1, 0) if is_hidden else (0, 1))


def test_silence_without_telemetry_hides_nothing(store, rule, analyst, lead, product):
    """No event of the host is stored at all: whether a child started, or a name was asked for, is not known.
    The alert's own events show that their own kinds are there, if they came out of the store."""
    in_force(rule, analyst, lead, *PLAIN, NO_CHILD)
    alert(rule, attack(AT), AT, name="a1", origin="elastic")
    alert(rule, attack(AT), AT, name="a2", origin="run")
    in_force(rule, analyst, lead, *PLAIN, NO_OTHER)
    alert(rule, attack(AT, entity="p-2"), AT, name="a3", origin="elastic")
    route_alerts(actor=product)
    assert list(Suppression.objects.values_list("alert__alert_id", flat=True)) == ["a2"]


@pytest.mark.parametrize(
    "change",
    [{"host": "host-9"}, {"source": "10.0.0.77"}],
)
def test_another_host_or_source_is_a_case(rule, analyst, lead, product, change):
    in_force(rule, analyst, lead)
    start, connection = attack(AT, host=change.get("host", "host-1"))
    connection["source"]["ip"] = change.get("source", "10.0.0.9")
    alert(rule, [start, connection], AT)
    route_alerts(actor=product)
    assert (Suppression.objects.count(), Case.objects.count()) == (0, 1)


def test_every_event_and_the_detection_must_lie_in_the_interval(rule, analyst, lead, product):
    version = in_force(rule, analyst, lead)
    ends = version.expires_at
    early, late = attack(SINCE - timedelta(seconds=1)), attack(ends + timedelta(hours=1))
    for number, (events, detected) in enumerate(
        [(early, AT), (late, AT), (attack(AT), ends), (attack(AT), SINCE - timedelta(seconds=1))]
    ):
        alert(rule, events, detected, name=f"a{number}")
    route_alerts(actor=product)
    assert Suppression.objects.count() == 0
    assert Alert.objects.unrouted().count() == 0


def test_the_clock_repaired_basis_reads_the_repaired_clock(rule, analyst, lead, product):
    in_force(rule, analyst, lead)
    events = attack(AT)
    for event in events:
        event["event"]["created"] = "2026-03-01T00:00:00Z"
    alert(rule, events, AT, time_basis="clock_repaired")
    route_alerts(actor=product)
    assert Suppression.objects.count() == 0


def test_expiry_and_revocation_change_nothing_that_was(rule, analyst, lead, product, clock):
    version = in_force(rule, analyst, lead)
    alert(rule, attack(AT), AT, name="a1")
    route_alerts(actor=product)
    exception_states.revoke(version, actor=lead, reason="Gone.")
    alert(rule, attack(AT), AT, name="a2")
    route_alerts(actor=product)
    route_alerts(actor=product)
    assert Suppression.objects.get().alert.alert_id == "a1"
    assert Case.objects.get().occurrences.get().alert.alert_id == "a2"
    assert list(faults()) == []


def test_exceptions_come_before_the_cap(rule, analyst, lead, product):
    rule.max_cases = 1
    rule.save()
    in_force(rule, analyst, lead)
    for number in range(6):
        host = "host-1" if number % 2 else "host-9"
        alert(rule, attack(AT, host=host, entity=f"p-{number}"), AT, name=f"a{number}")
    routed = route_alerts(actor=product)
    assert (routed.hidden, routed.opened, routed.capped) == (3, 1, 2)


def test_what_can_not_be_read_or_is_not_what_was_approved_makes_its_rule_wait(rule, analyst, lead, product):
    version = in_force(rule, analyst, lead)
    other = make_rule("other", name="Other")
    alert(rule, attack(AT), AT, name="a1")
    alert(other, attack(AT), AT, name="a2")
    ExceptionVersion.objects.filter(pk=version.pk).update(
        entries=[{"scope": "event", "field": "host.id", "operator": "exists"}]
    )
    with pytest.raises(RoutingError, match="is not what was approved"):
        deliver_route(None)
    assert list(Alert.objects.unrouted().values_list("alert_id", flat=True)) == ["a1"]
    assert Case.objects.get().rule == other
    exception_states.revoke(version, actor=lead, reason="Broken.")
    deliver_route(None)
    assert Alert.objects.unrouted().count() == 0


def test_while_exceptions_can_not_be_told_routing_waits(rule, analyst, lead, product, monkeypatch):
    alert(rule, attack(AT), AT)
    monkeypatch.setattr(exception_routing, "active_matcher", lambda **_: 1 / 0)
    with pytest.raises(RoutingError, match="exceptions can't be read"):
        deliver_route(None)
    assert (Case.objects.count(), Alert.objects.unrouted().count()) == (0, 1)


def test_while_evidence_can_not_be_recovered_only_its_alerts_wait(
    store, rule, analyst, lead, product, monkeypatch
):
    in_force(rule, analyst, lead, *FULL)
    alert(rule, attack(AT), AT, name="a1")
    alert(rule, attack(AT, host="host-9"), AT, name="a2")

    def fails(*_args, **_kwargs):
        raise StoreError("The store is gone.")

    with monkeypatch.context() as patched:
        patched.setattr(exception_recovery, "recover", fails)
        with pytest.raises(RoutingError, match=r"waits: .* The store is gone"):
            deliver_route(None)
    assert list(Alert.objects.unrouted().values_list("alert_id", flat=True)) == ["a1"]
    seen(store, lookup())
    deliver_route(None)
    assert Suppression.objects.get().alert.alert_id == "a1"


def test_what_comes_after_the_decision_lifts_it(store, rule, analyst, lead, product, clock):
    clock.move_to(AT + timedelta(minutes=1))
    version = in_force(rule, analyst, lead, *FULL)
    seen(store, lookup())
    alert(rule, attack(AT), AT)
    route_alerts(actor=product)
    row = Suppression.objects.get()
    assert (row.recheck_at, row.settled_at) == (AT + timedelta(hours=1, minutes=1), None)
    store.append(mapped(child(at=AT + timedelta(minutes=20))), batch="late")
    assert exception_routing.recheck(actor=product) == 0
    clock.move_to(LATER)
    assert exception_routing.recheck(actor=product) == 1
    row.refresh_from_db()
    assert "no child process: 1 of 1 say otherwise." in row.lifted_reason
    drain()
    assert Case.objects.get().occurrences.get().alert == row.alert
    version.refresh_from_db()
    assert (version.state, list(faults()), list(routed_alerts_are_in_cases())) == ("active", [], [])


def test_what_still_holds_when_the_window_is_over_is_settled(store, rule, analyst, lead, product, clock):
    clock.move_to(AT + timedelta(minutes=1))
    in_force(rule, analyst, lead, *FULL)
    seen(store, lookup())
    alert(rule, attack(AT), AT)
    route_alerts(actor=product)
    clock.move_to(LATER)
    assert exception_routing.recheck(actor=product) == 0
    row = Suppression.objects.get()
    assert (row.settled_at is not None, row.lifted_at) == (True, None)


def test_one_of_fifty_is_opened_for_review_and_counts_as_hidden(rule, analyst, lead, product):
    in_force(rule, analyst, lead)
    for number in range(51):
        alert(rule, attack(AT, entity=f"p-{number}"), AT, name=f"a{number}")
    route_alerts(actor=product)
    drain()
    review = ExceptionReview.objects.get()
    assert Suppression.objects.count() == 51
    assert review.suppression.alert.alert_id == "a49"
    assert Case.objects.get() == review.case
    assert list(routed_alerts_are_in_cases()) == []


def test_a_week_without_a_sample_asks_for_one(rule, analyst, lead, product):
    in_force(rule, analyst, lead)
    ExceptionVersion.objects.update(active_from=AT - timedelta(days=8), approved_at=AT - timedelta(days=8))
    alert(rule, attack(AT), AT)
    route_alerts(actor=product)
    assert Suppression.objects.get().is_sample is True


def test_a_lead_applies_it_to_what_is_there_and_the_case_says_so(rule, analyst, lead, product):
    old = AT - timedelta(days=5)
    tied = alert(rule, attack(old), old, name="a1")
    stranger = alert(rule, attack(old, host="host-9"), old, name="a2")
    route_alerts(actor=product)
    version = in_force(rule, analyst, lead)
    assert Suppression.objects.count() == 0
    with pytest.raises(NotPermittedError):
        apply_to_existing(version, [tied], actor=analyst, reason="x")
    with pytest.raises(TriageError, match="does not hold of 1 of them"):
        apply_to_existing(version, [tied, stranger], actor=lead, reason="Cleaning up.")
    applied = apply_to_existing(version, [tied], actor=lead, reason="Cleaning up.")
    case = tied.occurrence.case
    assert (applied.covered, applied.cases) == ((tied,), (case,))
    row = Suppression.objects.get()
    assert (row.is_retroactive, row.applied_by, row.reason) == (True, lead.user, "Cleaning up.")
    entry = JournalEntry.objects.filter(stream__name=case.stream).order_by("-number")[0]
    assert (entry.verb, Case.objects.get(pk=case.pk).status) == ("exception_applied", "open")
    assert list(faults()) == []


def test_what_waits_is_tried_again_and_what_is_over_ends(rule, analyst, lead, product, monkeypatch):
    version = in_force(rule, analyst, lead)
    alert(rule, attack(AT), AT)
    with monkeypatch.context() as patched:
        patched.setattr(exception_routing, "active_matcher", lambda **_: 1 / 0)
        exception_watch.watch(actor=product)
        drain()
    assert Alert.objects.unrouted().count() == 1
    exception_watch.watch(actor=product)
    OutboxRow.objects.update(not_before=LATER - timedelta(minutes=1))
    drain()
    assert Suppression.objects.count() == 1
    exception_watch.watch(actor=product, now=version.expires_at)
    version.refresh_from_db()
    assert version.state == "expired"
