"""Alerts of Elastic Security become cases with the guide that came along; their status is written back."""

from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from detections import outbox
from detections.actors import system
from detections.errors import StoreError
from detections.models import Alert, JournalEntry, OutboxRow
from detections.stores.base import Clause, Filters, Window
from tests.elasticsearch.events import admin
from tests.elasticsearch.front import Fault, error
from tests.elasticsearch.security import all_types, take
from tests.factories import elastic_alerts as elastic
from tests.factories.cases import shipped_rule
from triage import cases
from triage.enums import PivotState
from triage.models import Case, GuideVersion
from triage.pivot_search import search_signals

pytestmark = [pytest.mark.live, pytest.mark.timeout(300), pytest.mark.django_db]


@pytest.fixture
def as_admin(client, adi, settings):
    settings.STATIC_ROOT.mkdir(exist_ok=True)
    client.force_login(adi)
    return client


@pytest.fixture
def as_analyst(client, ana, settings):
    settings.STATIC_ROOT.mkdir(exist_ok=True)
    client.force_login(ana)
    return client


def test_every_alert_becomes_a_case_with_the_guide_that_came_with_it(security, product, as_analyst):
    all_types(security)
    take(product)
    outbox.drain()
    assert (Alert.objects.unrouted().count(), Case.objects.count()) == (0, 6)
    assert list(OutboxRow.objects.exclude(error="").values_list("kind", "error")) == []
    case = Case.objects.get(title="query")
    assert case.guide.note == elastic.NOTE
    states = dict(case.pivots.values_list("label", "state"))
    assert states["Events of the host"] == PivotState.HITS
    assert GuideVersion.objects.count() == 6  # one a rule, however often its text comes
    for one in Case.objects.all():
        page = as_analyst.get(f"/cases/{one.pk}/", follow=True)
        assert page.status_code == 200
        assert "The guide came with the alert" in page.content.decode()


def test_the_guide_of_the_installed_rule_goes_first(security, product):
    rule = shipped_rule()
    security.raises(security.simple(name="a", kibana__alert__rule__rule_id=rule.rule_id))
    security.raises(security.simple(name="b", kibana__alert__rule__rule_id=rule.replaces[0]))
    take(product)
    outbox.drain()
    assert set(Alert.objects.values_list("rule", flat=True)) == {rule.pk}
    assert {case.guide.rule_version.rule for case in Case.objects.all()} == {rule}


def open_one(security, product):
    hit = security.simple()
    security.raises(hit)
    take(product)
    outbox.drain()
    return hit[0], Case.objects.get()


def test_nothing_is_written_back_unless_it_is_switched_on(security, product, lead, front):
    key, case = open_one(security, product)
    work(case, lead)
    outbox.drain()
    assert security.standing(key)["kibana.alert.workflow_status"] == "open"
    written = [path for method, path, *_ in front.requests if "_bulk" in path or method in ("PUT", "DELETE")]
    assert written == [path for path in written if "_pit" in path]


def work(case, lead):
    """As whoever starts to answer does."""
    with transaction.atomic():
        cases.start(cases.locked(case.pk), actor=lead)


def close(case, disposition):
    with transaction.atomic():
        row = cases.locked(case.pk)
        cases._write_close(row, disposition, "because of this", system("test"), None)


def test_status_follows_the_case_and_only_forward(security, product, lead, settings):
    settings.ELASTICSEARCH_ALERTS_WRITE_BACK = True
    key, case = open_one(security, product)
    work(case, lead)
    outbox.drain()
    assert security.standing(key)["kibana.alert.workflow_status"] == "acknowledged"
    close(case, "benign")
    outbox.drain()
    source = security.standing(key)
    assert source["kibana.alert.workflow_status"] == "closed"
    assert source["kibana.alert.workflow_reason"] == "benign_positive"
    verbs = JournalEntry.objects.filter(stream__name=case.stream, verb="alert_status_written")
    assert list(verbs.order_by("number").values_list("after", flat=True)) == ["acknowledged", "closed"]
    assert list(OutboxRow.objects.exclude(error="").values_list("kind", "error")) == []


def test_what_a_person_closed_there_stays_as_it_is(security, product, lead, settings):
    settings.ELASTICSEARCH_ALERTS_WRITE_BACK = True
    key, case = open_one(security, product)
    document = {
        "doc": {"kibana.alert.workflow_status": "closed", "kibana.alert.workflow_reason": "duplicate"}
    }
    admin(security.server, "POST", f"/{security.index}/_update/{key}?refresh=true", document)
    work(case, lead)
    close(case, "benign")
    outbox.drain()
    source = security.standing(key)
    assert source["kibana.alert.workflow_reason"] == "duplicate"


def test_a_refused_write_waits_in_the_outbox_with_its_reason(security, product, lead, settings, front):
    settings.ELASTICSEARCH_ALERTS_WRITE_BACK = True
    key, case = open_one(security, product)
    front.inject(Fault("_bulk", 403, error(403, "security_exception", "action [write] is unauthorized")))
    work(case, lead)
    outbox.drain()
    row = OutboxRow.objects.get(kind="write_alert_status")
    assert (row.state, "may not write the status of alerts" in row.error) == ("pending", True)
    OutboxRow.objects.update(not_before=timezone.now())
    outbox.drain()
    assert security.standing(key)["kibana.alert.workflow_status"] == "acknowledged"


def test_the_pivot_on_alerts_reads_the_same_index(security, product, front):
    _key, case = open_one(security, product)
    block = security.simple(name="block", kibana__alert__building_block_type="default")
    other = security.simple(name="other")
    security.raises(block, other)
    filters = Filters(
        ((Clause("event.kind", values=("signal",)), Clause("host.id", values=(security.host,))),)
    )
    now = timezone.now()
    found = search_signals(case, filters, Window(now - timedelta(hours=1), now + timedelta(minutes=1)))
    names = sorted(row.document["kibana.alert.rule.name"] for row in found.rows)
    assert (names, found.total, found.state) == (["block", "other"], 2, PivotState.HITS)
    front.inject(Fault("_search", 503, error(503, "unavailable", "no"), times=9))
    with pytest.raises(StoreError):
        search_signals(case, filters, Window(now - timedelta(hours=1), now))


def test_health_shows_where_it_stands(security, product, as_admin):
    open_one(security, product)
    text = as_admin.get("/health/").content.decode()
    assert "Alerts of Elastic Security" in text
    assert "Not written back" in text
