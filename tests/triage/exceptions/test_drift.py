"""Whether an exception still hides what was confirmed, who is told, and who is asked before it ends."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.db import IntegrityError, transaction

from detections import alarms
from detections.actors import system
from detections.models import Alert, JournalEntry
from tests.factories.cases import alert
from tests.factories.events import attack, mapped
from tests.factories.exceptions import active
from tests.factories.rules import rule as make_rule
from triage.exception_items import renewal as exception_renewal
from triage.exception_items import states as exception_states
from triage.exception_items.drift import look
from triage.models import CaseTask, ExceptionItem, ExceptionVersion, Suppression

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
CLOCK = system("the clock")


@pytest.fixture(autouse=True)
def clock():
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


@pytest.fixture
def version(store, analyst, lead):
    """An exception that came into force five weeks ago."""
    return active(make_rule(), by=analyst, approver=lead, since=NOW - timedelta(days=35))


def hits(version, *days, host="host-1", user="svc"):
    """Hidden alerts, so many days ago each."""
    for number, day in enumerate(days):
        name = f"{Alert.objects.count()}-{number}"
        at = NOW - timedelta(days=day)
        made = alert(version.item.rule, attack(at, host=host), at, name=name)
        Suppression.objects.create(alert=made, version=version, at=at, host=host, user=user)


def drifted(version):
    ExceptionItem.objects.update(drift_checked_at=None)
    look(actor=CLOCK, now=NOW)
    return ExceptionItem.objects.get(pk=version.item_id).drift


def test_the_same_every_day_is_no_drift(version):
    hits(version, *range(28))
    assert drifted(version) == []


def test_a_fivefold_rise_is_told_once_and_its_owner_is_asked(version, ana):
    hits(version, *range(8, 28, 3), *[1] * 11)
    assert drifted(version) == []
    hits(version, *[2] * 2)
    says = ["It hid 13 alerts in the last 7 days; 2.3 a week were usual before."]
    assert (drifted(version), drifted(version)) == (says, says)
    task = CaseTask.objects.get(kind="exception_drift")
    assert (task.owner, task.detail) == (ana, says[0])
    told = [one for one in alarms.current(now=NOW) if one.kind == "exception_drift"]
    assert [one.detail for one in told] == says
    assert "Ana is asked" in told[0].title
    Suppression.objects.filter(at__gte=NOW - timedelta(days=7)).exclude(host="none").update(
        at=NOW - timedelta(days=20)
    )
    hits(version, 3, user="svc2", host="host-1")
    Suppression.objects.filter(user="svc2").update(user="svc")
    assert drifted(version) == []
    verbs = JournalEntry.objects.filter(stream__name=version.item.stream).values_list("verb", flat=True)
    assert [verb for verb in verbs.order_by("number") if "drift" in verb and "draft" not in verb] == [
        "exception_drifted",
        "exception_drift_over",
    ]


def test_somebody_new_inside_is_named_but_not_who_the_exception_names(version):
    hits(version, 10, 12)
    hits(version, 1, host="host-2")
    assert drifted(version) == []
    hits(version, 2, user="eve")
    hits(version, 2, host="host-9")
    assert drifted(version) == ["A new host inside it: host-9.", "A new user inside it: eve."]


def test_an_anchor_that_no_telemetry_names_any_more(version, store):
    hits(version, 27, 26, 25, 24)
    store.append(mapped(*attack(NOW - timedelta(days=2), host="host-1")), batch="b")
    assert drifted(version) == []
    ExceptionVersion.objects.filter(pk=version.pk).update(
        entries=[*version.entries[:1], {**version.entries[1], "values": ["10.9.9.9"]}]
    )
    says = "Its anchor does not occur any more: no event of 7 days has remote.ip 10.9.9.9."
    assert drifted(version) == [says]


def test_the_owner_is_asked_once_before_it_ends(version, ana):
    assert exception_renewal.ask_owners(actor=CLOCK, now=NOW) == 0
    late = version.expires_at - timedelta(days=13)
    hits(version, -60)
    assert [exception_renewal.ask_owners(actor=CLOCK, now=late) for _ in range(2)] == [1, 0]
    task = CaseTask.objects.get(kind="exception_renewal")
    assert (task.owner, task.due_at) == (ana, version.expires_at)
    assert task.title.startswith(f"Renew {version.item.number} or let it go")


def test_who_renews_in_time_is_not_asked(version, analyst):
    exception_states.renew(version, actor=analyst, expires_at=NOW + timedelta(days=200))
    late = version.expires_at - timedelta(days=3)
    hits(version, -60)
    assert exception_renewal.ask_owners(actor=CLOCK, now=late) == 0


def test_what_hides_nothing_for_long_is_proposed_for_removal(version):
    ExceptionVersion.objects.update(
        active_from=NOW - timedelta(days=91), approved_at=NOW - timedelta(days=91)
    )
    hits(version, 89)
    assert exception_renewal.ask_owners(actor=CLOCK, now=NOW) == 0
    Suppression.objects.all().delete()
    assert exception_renewal.ask_owners(actor=CLOCK, now=NOW) == 1
    assert CaseTask.objects.get().title.startswith(f"Remove {version.item.number}")


def test_alerts_that_wait_and_exceptions_that_can_not_be_read_are_alarms(version):
    alert(version.item.rule, attack(NOW), NOW - timedelta(minutes=11))
    ExceptionVersion.objects.filter(pk=version.pk).update(entries=[{"scope": "nonsense"}])
    found = {one.kind: one.title for one in alarms.current(now=NOW)}
    assert found["routing_waits"] == "1 alert has no case yet"
    assert found["exceptions_unreadable"].startswith(f"Alerts of a rule wait: {version.label} can't be read")
    Alert.objects.all().update(routed_at=NOW)
    assert "routing_waits" not in {one.kind for one in alarms.current(now=NOW)}


@pytest.mark.parametrize("column", ["active_from", "starts_at"])
def test_the_database_refuses_more_than_a_year(version, column):
    begins = NOW - timedelta(days=35)
    rows = ExceptionVersion.objects.filter(pk=version.pk)
    fits = {column: begins, "expires_at": begins + timedelta(days=366)}
    assert rows.update(**fits) == 1
    with pytest.raises(IntegrityError), transaction.atomic():
        rows.update(expires_at=begins + timedelta(days=366, minutes=1))
