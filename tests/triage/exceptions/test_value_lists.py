"""Value lists: an approval of their own, and what refers to them."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from detections.actors import NotPermittedError
from detections.models import Alert, JournalEntry
from tests.factories.cases import alert
from tests.factories.events import attack
from tests.factories.exceptions import PLAIN, active
from tests.factories.rules import rule as make_rule
from triage.errors import StaleEditError, TriageError
from triage.exception_items import value_lists
from triage.exception_items.integrity import standing_faults
from triage.models import Case, Suppression, ValueListVersion
from triage.routing import RoutingError, deliver_route

pytestmark = pytest.mark.django_db
AT = datetime(2026, 3, 18, 9, 41, tzinfo=UTC)
IN_LIST = {"scope": "network", "field": "remote.ip", "operator": "in_list", "value_list": "servers"}


@pytest.fixture
def rule(store):
    return make_rule()


@pytest.fixture(autouse=True)
def clock():
    with time_machine.travel(AT + timedelta(hours=3), tick=True):
        yield


def in_force(analyst, lead, *values, kind="cidr"):
    row = value_lists.draft_list("servers", kind, values, actor=analyst, reason="CMDB export of May.")
    row = value_lists.propose_list(row, actor=analyst, revision=row.revision)
    return value_lists.approve_list(row, actor=lead, seen_sha256=row.content_sha256)


def test_a_list_is_approved_by_another_person_and_as_it_was_shown(analyst, lead, outsider):
    row = value_lists.draft_list("servers", "ip", ["10.0.0.9"], actor=lead, reason="CMDB")
    row = value_lists.propose_list(row, actor=lead, revision=row.revision)
    for actor in (lead, analyst, outsider):
        with pytest.raises(NotPermittedError):
            value_lists.approve_list(row, actor=actor, seen_sha256=row.content_sha256)
    with pytest.raises(StaleEditError):
        value_lists.edit_list(row, ["10.0.0.1"], actor=analyst, revision=1, reason="x")
    edited = value_lists.edit_list(row, ["10.0.0.1"], actor=analyst, revision=row.revision, reason="x")
    row.refresh_from_db()
    assert (row.state, edited.state, edited.number) == ("superseded", "draft", 2)


def test_each_step_of_a_list_is_written_down_and_one_version_is_in_force(analyst, lead):
    first = in_force(analyst, lead, "10.0.0.9", kind="ip")
    second = value_lists.edit_list(first, ["10.0.0.1"], actor=analyst, revision=first.revision, reason="x")
    second = value_lists.propose_list(second, actor=analyst, revision=second.revision)
    with pytest.raises(StaleEditError, match="changed after it was shown"):
        value_lists.decline_list(second, actor=lead, reason="No.", seen_sha256=first.content_sha256)
    second = value_lists.approve_list(second, actor=lead, seen_sha256=second.content_sha256)
    first.refresh_from_db()
    assert [(row.number, row.state, row.ended_at is None) for row in (first, second)] == [
        (1, "superseded", False),
        (2, "active", True),
    ]
    with pytest.raises(TriageError, match="Say why the value list is taken back"):
        value_lists.revoke_list(second, actor=lead, reason=" ")
    value_lists.revoke_list(second, actor=lead, reason="Old.")
    with pytest.raises(StaleEditError, match="servers v2 is revoked: there is nothing to revoke"):
        value_lists.revoke_list(second, actor=lead, reason="Old.")
    entries = JournalEntry.objects.filter(stream__name=first.stream).order_by("number")
    assert [(one.verb.removeprefix("value_list_"), one.before, one.after) for one in entries] == [
        ("drafted", "", "draft"),
        ("proposed", "draft", "proposed"),
        ("approved", "proposed", "approved"),
        ("activated", "approved", "active"),
        ("edited", "servers v1", "draft"),
        ("proposed", "draft", "proposed"),
        ("approved", "proposed", "approved"),
        ("superseded", "active", "superseded"),
        ("activated", "approved", "active"),
        ("revoked", "active", "revoked"),
    ]


def test_a_list_that_is_declined_says_why_and_another_version_may_follow(analyst, lead):
    row = value_lists.draft_list("servers", "ip", ["10.0.0.9"], actor=analyst, reason="CMDB")
    row = value_lists.propose_list(row, actor=analyst, revision=row.revision)
    with pytest.raises(TriageError, match="Say why"):
        value_lists.decline_list(row, actor=lead, reason="", seen_sha256=row.content_sha256)
    row = value_lists.decline_list(row, actor=lead, reason="Too wide.", seen_sha256=row.content_sha256)
    assert (row.state, row.decided_reason, row.approved_by) == ("declined", "Too wide.", None)
    edited = value_lists.edit_list(row, ["10.0.0.1"], actor=analyst, revision=row.revision, reason="x")
    assert (edited.number, edited.state) == (2, "draft")
    with pytest.raises(StaleEditError, match="servers v2 is draft already: go on with that one"):
        value_lists.edit_list(row, ["10.0.0.2"], actor=analyst, revision=row.revision, reason="x")


def test_entries_hold_by_the_list_in_force_and_name_its_version(rule, analyst, lead):
    first = in_force(analyst, lead, "10.0.0.0/24", "fd00::/8")
    active(rule, PLAIN[0], IN_LIST, by=analyst, approver=lead, since=AT - timedelta(days=1))
    alert(rule, attack(AT, entity="p-1"), AT, name="a1")
    deliver_route(None)
    row = value_lists.edit_list(first, ["10.9.0.0/16"], actor=analyst, revision=first.revision, reason="New.")
    row = value_lists.propose_list(row, actor=analyst, revision=row.revision)
    value_lists.approve_list(row, actor=lead, seen_sha256=row.content_sha256)
    alert(rule, attack(AT, entity="p-2"), AT, name="a2")
    deliver_route(None)
    assert [(row.alert.alert_id, row.value_lists) for row in Suppression.objects.all()] == [
        ("a1", {"servers": 1})
    ]


def test_a_list_in_use_stays_and_without_it_routing_waits(rule, analyst, lead):
    row = in_force(analyst, lead, "10.0.0.9", kind="ip")
    active(rule, PLAIN[0], IN_LIST, by=analyst, approver=lead, since=AT - timedelta(days=1))
    with pytest.raises(TriageError, match="refer to it"):
        value_lists.revoke_list(row, actor=lead, reason="Old.")
    ValueListVersion.objects.update(state="revoked")
    alert(rule, attack(AT), AT)
    with pytest.raises(RoutingError, match="'servers' has no active version"):
        deliver_route(None)


def test_a_list_that_was_changed_behind_the_product_is_told(db, analyst, lead):
    version = value_lists.draft_list("hosts", "keyword", ["a"], actor=analyst, reason="x")
    version = value_lists.propose_list(version, actor=analyst, revision=version.revision)
    version = value_lists.approve_list(version, actor=lead, seen_sha256=version.content_sha256)
    assert list(standing_faults()) == []
    ValueListVersion.objects.filter(pk=version.pk).update(values=["a", "b"])
    assert list(standing_faults()) == [
        "The value list hosts v1 is in force, and its values are not what was approved."
    ]


def test_a_list_that_was_changed_behind_the_product_hides_nothing_and_routing_waits(rule, analyst, lead):
    row = in_force(analyst, lead, "10.0.0.9", kind="ip")
    active(rule, PLAIN[0], IN_LIST, by=analyst, approver=lead, since=AT - timedelta(days=1))
    alert(rule, attack(AT, entity="p-1"), AT, name="a1")
    deliver_route(None)
    kept = list(row.values)
    ValueListVersion.objects.filter(pk=row.pk).update(values=["10.0.0.9", "10.6.6.6"])
    alert(rule, attack(AT, entity="p-2"), AT, name="a2")
    with pytest.raises(RoutingError, match="The values of the list servers v1 are not what was approved"):
        deliver_route(None)
    waiting = Alert.objects.unrouted().values_list("alert_id", flat=True)
    assert (list(waiting), Case.objects.count()) == (["a2"], 0)
    ValueListVersion.objects.filter(pk=row.pk).update(values=kept)
    deliver_route(None)
    assert Suppression.objects.count() == 2
