"""Value lists: an approval of their own, and what refers to them."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from detections.actors import NotPermittedError
from detections.models import Alert
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
