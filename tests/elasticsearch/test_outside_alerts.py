"""Alerts of Elastic Security on a real server are taken in: which ones, with which events, once each."""

import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from detections.actors import NotPermittedError
from detections.models import Alert, OutsideSource
from detections.outside_alerts import taking
from detections.outside_alerts.status import status
from tests.elasticsearch.security import STREAM, all_types, take, uuids
from tests.factories import elastic_alerts as elastic

pytestmark = [pytest.mark.live, pytest.mark.timeout(300), pytest.mark.django_db]


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


def test_people_take_no_alerts_in(security, analyst):
    with pytest.raises(NotPermittedError):
        taking.take(actor=analyst)


def test_no_request_holds_a_query_text(security, product, front):
    all_types(security)
    take(product)
    bodies = [body.decode() for _method, _path, body, _headers in front.requests]
    assert any('"terms"' in body or '"ids"' in body for body in bodies)
    for word in ("query_string", "script", "regexp", "wildcard", "_all"):
        assert [body for body in bodies if f'"{word}' in body] == []
