"""Alerts of Elastic Security on a real server: taken in once each, worked as cases, written back."""

import json
import uuid
from contextlib import suppress
from datetime import timedelta

import pytest
from django.utils import timezone

from detections import alarms, lease, outbox
from detections.actors import NotPermittedError
from detections.models import Alert, JournalEntry, OutboxRow, OutsideAlert, OutsideSource
from detections.outside_alerts import index as outside_index
from detections.outside_alerts import taking
from detections.outside_alerts.status import status
from tests.elasticsearch.events import admin, fill
from tests.elasticsearch.front import Fault, error
from tests.factories import elastic_alerts as elastic
from triage import cases
from triage.enums import PivotState
from triage.models import Case, GuideVersion

pytestmark = [pytest.mark.live, pytest.mark.timeout(300), pytest.mark.django_db]
STREAM = "logs-outside-default"
KEYWORDS = [
    "kibana.alert.uuid", "kibana.alert.workflow_status", "kibana.alert.building_block_type",
    "kibana.alert.group.id", "kibana.alert.rule.rule_id", "kibana.alert.rule.name", "host.id", "host.name",
    "event.kind", "user.name",
]  # fmt: skip


class Security:
    """Elastic Security with a space of its own in the server: an alias over one hidden index."""

    def __init__(self, server, name):
        self.server, self.host = server, uuid.uuid4().hex
        self.index = f".internal.alerts-security.alerts-{name}-000001"
        self.alias = f".alerts-security.alerts-{name}"
        properties = {one: {"type": "keyword"} for one in KEYWORDS}
        properties |= {
            "@timestamp": {"type": "date"},
            "kibana.alert.original_time": {"type": "date"},
            "kibana.alert.rule.parameters": {"type": "object", "enabled": False},
        }
        body = {
            "settings": {"index.hidden": True, "number_of_replicas": 0},
            "mappings": {"dynamic": False, "properties": properties},
            "aliases": {self.alias: {"is_write_index": True, "is_hidden": True}},
        }
        admin(server, "PUT", f"/{self.index}", body)

    def raises(self, *hits):
        lines = []
        for key, document in hits:
            lines += [json.dumps({"create": {"_id": key}}), json.dumps(document)]
        answer = admin(
            self.server, "POST", f"/{self.index}/_bulk?refresh=true", "\n".join(lines) + "\n", lines=True
        )
        assert not answer["errors"], answer["items"]

    def standing(self, key):
        return admin(self.server, "GET", f"/{self.index}/_doc/{key}")["_source"]

    def event(self, seconds=0, **more):
        """An event of this host in the cluster: its `_id` and document."""
        at = timezone.now() - timedelta(minutes=10) + timedelta(seconds=seconds)
        document = {
            "@timestamp": at.isoformat(),
            "event": {"category": ["process"], "type": ["start"], "kind": "event"},
            "data_stream": {"type": "logs", "dataset": "outside", "namespace": "default"},
            "host": {"id": self.host, "name": "web-1"},
            "process": {"name": "x.exe", "entity_id": uuid.uuid4().hex},
            **more,
        }
        key = uuid.uuid4().hex
        fill(self.server, STREAM, [(key, document)])
        return key, document

    def simple(self, at=None, *, name="query", **more):
        """An alert on an event of its own."""
        key, document = self.event()
        rule = elastic.rule_fields(name, "query")
        where = [elastic.ancestor(f".ds-{STREAM}-2026.01.01-000001", key)]
        return elastic.alert(at or timezone.now(), rule, where, event=document, **more)


@pytest.fixture
def security(server, front, settings):
    made = Security(server, uuid.uuid4().hex)
    settings.ELASTICSEARCH_URL = front.url
    settings.ELASTICSEARCH_ALERTS_INDEX = (
        ".alerts-security.alerts-" + made.alias.rpartition("-")[2][:20] + "*"
    )
    settings.ELASTICSEARCH_CREDENTIALS = {
        access: {"api_key": "", "bearer": "", "user": access, "password": server.password}
        for access in ("detect", "pivot", "canary")
    } | {
        # Writing back needs rights that copies of alerts do not.
        "write": {"api_key": "", "bearer": "", "user": "write_back", "password": server.password},
        "all": {"api_key": "", "bearer": "", "user": "", "password": ""},
    }
    return made


def take(product, **options):
    return taking.take(actor=product, **options)


def uuids():
    return list(OutsideAlert.objects.order_by("alert__pk").values_list("uuid", flat=True))


def all_types(security):
    """One alert of each type, in order of time: what it is, and the ids of its events."""
    now = timezone.now()
    first, second = security.event(0), security.event(5)
    ds = f".ds-{STREAM}-2026.01.01-000001"
    query = elastic.rule_fields(
        "eql", "eql",
        parameters={"query": "sequence by host.id [any where true] [any where true]", "language": "eql"},
    )  # fmt: skip
    counted = {
        "kibana.alert.threshold_result": {
            "terms": [{"field": "user.name", "value": "svc"}], "count": 40,
            "from": (now - timedelta(minutes=9)).isoformat(),
        },
        "kibana.alert.original_time": now.isoformat(),
    }  # fmt: skip
    terms, matched = security.event(7), security.event(8)
    anomaly = {"@timestamp": now.isoformat(), "host": {"id": security.host, "name": "web-1"}, "event": {}}
    hits = [
        [security.simple(now - timedelta(seconds=60))],
        elastic.sequence(now - timedelta(seconds=50), query, ds, [first, second]),
        [elastic.alert(now - timedelta(seconds=40), elastic.rule_fields("threshold", "threshold"),
                       [elastic.ancestor("logs-*,winlogbeat-*", uuid.uuid4().hex)],
                       user={"name": "svc"}, **counted)],
        [elastic.alert(now - timedelta(seconds=30), elastic.rule_fields("new_terms", "new_terms"),
                       [elastic.ancestor(ds, terms[0])], event=terms[1], kibana__alert__new_terms=["x.exe"])],
        [elastic.alert(now - timedelta(seconds=20), elastic.rule_fields("ml", "machine_learning"),
                       [elastic.ancestor(".ml-anomalies-custom-x", "job_1")], event=anomaly)],
        [elastic.alert(now - timedelta(seconds=10), elastic.rule_fields("indicator", "threat_match"),
                       [elastic.ancestor(ds, matched[0])], event=matched[1])],
    ]  # fmt: skip
    security.raises(*(hit for group in hits for hit in group))
    return [group[-1][0] for group in hits], [first, second]


def test_six_types_are_taken_once_with_their_events(security, product, store):
    keys, pair = all_types(security)
    assert (take(product).new, take(product).new) == (6, 0)
    assert uuids() == keys
    rows = {one.outside.rule_type: one for one in Alert.objects.select_related("outside")}
    assert {kind: len(one.events) for kind, one in rows.items()} == {
        "query": 1, "eql": 2, "threshold": 1, "new_terms": 1, "machine_learning": 1, "threat_match": 1,
    }  # fmt: skip
    copies = {kind: one.outside.copied_events for kind, one in rows.items()}
    assert sorted(kind for kind, number in copies.items() if number) == ["machine_learning", "threshold"]
    assert [one["document"] for one in rows["eql"].events] == [document for _key, document in pair]
    assert rows["eql"].join_keys == [["host.id", security.host]]
    assert rows["threshold"].join_keys == [["user.name", "svc"]]
    assert {one.origin for one in rows.values()} == {"elastic"}
    from detections.ingest import identity

    assert rows["eql"].events[0]["identity"] == identity.of_source("outside", pair[0][0])


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
    from tests.factories.cases import shipped_rule

    rule = shipped_rule()
    security.raises(security.simple(name="a", kibana__alert__rule__rule_id=rule.rule_id))
    security.raises(security.simple(name="b", kibana__alert__rule__rule_id=rule.replaces[0]))
    take(product)
    outbox.drain()
    assert set(Alert.objects.values_list("rule", flat=True)) == {rule.pk}
    assert {case.guide.rule_version.rule for case in Case.objects.all()} == {rule}


class Killed(BaseException):
    """As kill -9: nothing handles it."""


@pytest.mark.parametrize(
    "where",
    [
        "detections.outside_alerts.taking._batch",
        "detections.outside_alerts.taking._store",
        "detections.outside_alerts.taking._advance",
        "detections.outside_alerts.taking._outside",
        "detections.outside_alerts.taking.outbox.put",
        "detections.outside_alerts.taking.journal.record",
        "detections.outside_alerts.taking._succeeded",
    ],
)
@pytest.mark.django_db(transaction=True)
def test_killed_anywhere_each_is_taken_once(security, product, monkeypatch, where):
    monkeypatch.setattr(taking, "BATCH", 2)
    keys, _pair = all_types(security)
    for times in range(3):
        with monkeypatch.context() as patch:
            true, left = _resolve(where), [times]

            def dies(*arguments, true=true, left=left, **named):
                if left[0] == 0:
                    raise Killed
                left[0] -= 1
                return true(*arguments, **named)

            patch.setattr(where, dies)
            with suppress(Killed):
                take(product)
        assert Alert.objects.count() == OutsideAlert.objects.count() == _journalled()
        assert lease.claim(taking.LEASE) is not None  # dead, and its lease over
        lease.Lease.objects.update(expires_at=None)
    take(product)
    assert sorted(uuids()) == sorted(keys)
    assert _journalled() == 6
    source = OutsideSource.objects.get()
    assert (source.taken, source.cursor_uuid, source.error) == (6, keys[-1], "")


def _resolve(path):
    from importlib import import_module

    module = import_module("detections.outside_alerts.taking")
    found = module
    for name in path.removeprefix("detections.outside_alerts.taking.").split("."):
        found = getattr(found, name)
    return found


def _journalled():
    entries = JournalEntry.objects.filter(verb="outside_alerts_taken")
    return sum(len(entry.data["alerts"]) for entry in entries)


def test_what_becomes_visible_late_is_found(security, product):
    now = timezone.now()
    newest = security.simple(now)
    security.raises(newest)
    take(product, now=now)
    late, later = security.simple(now - timedelta(minutes=9)), security.simple(now - timedelta(hours=9))
    security.raises(late, later)
    take(product, now=now + timedelta(seconds=30))
    assert uuids() == [newest[0], late[0]]
    take(product, now=now + timedelta(hours=1))
    assert uuids() == [newest[0], late[0], later[0]]
    assert OutsideSource.objects.get().cursor_uuid == newest[0]


def test_a_poll_that_was_overtaken_stores_nothing(security, product):
    security.raises(security.simple())
    OutsideSource.objects.create(
        pattern=outside_index.settings.ELASTICSEARCH_ALERTS_INDEX,
        from_time=timezone.now() - timedelta(hours=1),
        fence=10**6,
    )
    assert take(product) is None
    assert (Alert.objects.count(), OutsideSource.objects.get().cursor_at) == (0, None)
    assert "Another poll took over" in OutsideSource.objects.get().error


def test_building_blocks_and_what_was_closed_there_are_left_to_elastic(security, product):
    block = security.simple(kibana__alert__building_block_type="default")
    closed = security.simple(kibana__alert__workflow_status="closed")
    on_alert_key, document = security.event()
    on_alert = elastic.alert(
        timezone.now(), elastic.rule_fields("on alerts", "query"),
        [elastic.ancestor(f".ds-{STREAM}-2026.01.01-000001", on_alert_key),
         elastic.ancestor(security.index, block[0], "signal", 1)],
        event=document,
    )  # fmt: skip
    security.raises(block, closed, on_alert)
    take(product)
    assert uuids() == [on_alert[0]]
    assert Alert.objects.get().events[0]["document"] == document


def test_events_that_are_gone_are_what_the_alerts_copied(security, product):
    events = [(uuid.uuid4().hex, {**security.event()[1], "message": str(number)}) for number in range(2)]
    rule = elastic.rule_fields("gone", "eql")
    hits = elastic.sequence(timezone.now(), rule, "logs-deleted-default", events)
    security.raises(*hits)
    take(product)
    [alert] = Alert.objects.all()
    assert [event["document"]["message"] for event in alert.events] == ["0", "1"]
    assert [event["document"]["event"] for event in alert.events] == [one[1]["event"] for one in events]
    assert alert.outside.copied_events == 2


def test_one_that_can_not_be_read_is_told_and_keeps_none_back(security, product):
    good, bad = security.simple(), security.simple()
    for name in ("kibana.alert.rule.rule_id", "kibana.alert.rule.uuid"):
        del bad[1][name]
    security.raises(good, bad)
    assert (take(product).new, uuids()) == (1, [good[0]])
    [problem] = status().problems()
    assert "1 alert of Elastic Security could not be taken in" in problem
    assert f"Alert {bad[0]} names no rule." in problem


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault("_search", 403, error(403, "security_exception", "unauthorized for user [pivot]"), times=9),
         "The credential may not read the alerts"),
        (Fault("_search", 401, error(401, "security_exception", "unable to authenticate"), times=9),
         "does not accept the credential"),
        (Fault("_search", changes={"_shards": {"failed": 1, "failures": []}}, times=9), "1 shard failed"),
        (Fault("_search", changes={"timed_out": True}, times=9), "timed_out"),
        (Fault("_search", garbage=True, times=9), "is no JSON"),
    ],
)  # fmt: skip
def test_a_failure_is_told_and_nothing_is_passed(security, product, front, fault, said):
    first, second = security.simple(), security.simple()
    security.raises(first)
    take(product)
    security.raises(second)
    cursor = OutsideSource.objects.get().cursor_uuid
    front.inject(fault)
    assert take(product) is None
    source = OutsideSource.objects.get()
    assert source.cursor_uuid == cursor
    assert said in source.error
    assert [one.kind for one in alarms.current() if one.kind == "outside_alerts"] == ["outside_alerts"]
    fault.times = 0
    assert take(product).new == 1
    assert (uuids(), list(status().problems())) == ([first[0], second[0]], [])


def test_no_index_is_not_no_alerts(security, product, settings):
    settings.ELASTICSEARCH_ALERTS_INDEX = ".alerts-security.alerts-nobody*"
    assert take(product) is None
    assert "No index matches .alerts-security.alerts-nobody*" in OutsideSource.objects.get().error


def test_people_take_no_alerts_in(security, analyst):
    with pytest.raises(NotPermittedError):
        taking.take(actor=analyst)


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
    from django.db import transaction

    with transaction.atomic():
        cases.start(cases.locked(case.pk), actor=lead)


def close(case, disposition):
    from django.db import transaction

    with transaction.atomic():
        row = cases.locked(case.pk)
        cases._write_close(row, disposition, "because of this", lead_actor(), None)


def lead_actor():
    from detections.actors import system

    return system("test")


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
    from detections.stores.base import Clause, Filters, Window
    from triage.pivot_search import search_signals

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
    from detections.errors import StoreError

    with pytest.raises(StoreError):
        search_signals(case, filters, Window(now - timedelta(hours=1), now))


def test_no_request_holds_a_query_text(security, product, front):
    all_types(security)
    take(product)
    bodies = [body.decode() for _method, _path, body, _headers in front.requests]
    assert any('"terms"' in body or '"ids"' in body for body in bodies)
    for word in ("query_string", "script", "regexp", "wildcard", "_all"):
        assert [body for body in bodies if f'"{word}' in body] == []


def test_health_shows_where_it_stands(security, product, as_admin):
    open_one(security, product)
    text = as_admin.get("/health/").content.decode()
    assert "Alerts of Elastic Security" in text
    assert "Not written back" in text


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
