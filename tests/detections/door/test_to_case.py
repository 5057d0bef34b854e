"""From a sender to a case: the shipped rule finds what came through the door."""

import json
from datetime import timedelta

import time_machine
from django.utils import timezone

from detections import outbox, wake
from detections.ingest import moments
from detections.rule_loading import SHIPPED, load_rules
from tests.detections.door.conftest import pairs
from triage.demo import SCENARIOS
from triage.models import Case


def attack_now() -> list[dict]:
    """The malicious scenario as an agent would send it while it happens."""
    documents = [json.loads(line) for line in (SCENARIOS / "malicious.ndjson").read_text().splitlines()]
    newest = max(moments.moment(document["@timestamp"]) for document in documents)
    shift = timezone.now() - timedelta(seconds=30) - newest
    for document in documents:
        for holder, field in ((document, "@timestamp"), (document["event"], "created")):
            if field in holder:
                holder[field] = (moments.moment(holder[field]) + shift).isoformat()
    return documents


def test_an_attack_that_is_sent_becomes_a_case_by_the_schedule_alone(send, product):
    start = timezone.now()
    with time_machine.travel(start, tick=False):
        load_rules([SHIPPED], actor=product, enable=True, shipped=True)
        wake.wake()
        answer = send(pairs(*attack_now(), index="logs-endpoint.events-default"))
        assert (answer["errors"], wake.wake(), Case.objects.count()) == (False, [], 0)
    with time_machine.travel(start + timedelta(minutes=6), tick=False):
        wake.wake()
        outbox.drain()
    (case,) = Case.objects.all()
    assert case.rule.name == "mshta activated from another host over DCOM"
