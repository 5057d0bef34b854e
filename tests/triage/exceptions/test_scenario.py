"""The shipped benign workflow becomes an exception; what only looks like it does not pass."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from detections.enums import RunTrigger
from detections.event_store import event_store
from detections.imports import import_captures
from detections.models import Alert
from detections.run import run_rules
from detections.scenario_days import next_day
from tests.factories.cases import ACTOR, SHIPPED, shipped_rule
from tests.factories.events import mapped
from tests.factories.exceptions import content, proposed
from tests.factories.twins import HOSTS, SERVER, a_day_later, twins
from triage.errors import GuardrailsError
from triage.exception_items import guardrails as exception_guardrails
from triage.exception_items import matching as exception_matching
from triage.exception_items import recovery as exception_recovery
from triage.exception_items import states as exception_states
from triage.exception_items.evaluation import subject_of
from triage.exception_items.guardrails import Level
from triage.exception_items.integrity import faults, miscounted, standing_faults
from triage.models import Case, Suppression
from triage.routing import deliver_route

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 3, 18, 12, 0, tzinfo=UTC)
NEXT = NOON + timedelta(days=1)


def entry(scope, field, *values, operator="is", **others):
    return {"scope": scope, "field": field, "operator": operator, "values": list(values), **others}


def workflow(*hosts):
    """The minimum workflow that was confirmed, and what would contradict it."""
    return [
        entry("event", "host.id", *hosts, operator="is_one_of"),
        entry("network", "remote.ip", SERVER),
        entry("process", "process.parent.executable", "C:\\Windows\\System32\\svchost.exe"),
        entry("process", "process.command_line", "C:\\Windows\\System32\\mshta.exe -Embedding"),
        entry("dns", "dns.question.name", "swdist01.corp.example"),
        entry("dns", "dns.question.name", "swdist01.corp.example", quantity="every"),
        entry("connection", "remote.ip", SERVER, quantity="every"),
        entry("child", "", operator="exists", quantity="none"),
    ]


@pytest.mark.slow
def test_the_next_days_of_the_workflow_are_hidden_and_its_twins_are_not(store, analyst, lead):
    rule = shipped_rule()
    with time_machine.travel(NOON, tick=True) as clock:
        paths = [SHIPPED / "scenarios" / f"{name}.ndjson" for name in ("benign", "malicious", "ambiguous")]
        import_captures(paths, store=event_store(), actor=ACTOR)
        route_matches(rule)
        assert Case.objects.count() == 17
        wanted = content(rule, *workflow(*HOSTS))
        assert (hits(wanted), hits(content(rule, *workflow(HOSTS[0])))) == (15, 5)
        version = proposed(rule, *workflow(*HOSTS), by=analyst, case=Case.objects.earliest("pk"))
        with pytest.raises(GuardrailsError, match="15 of the rule's last 17 alerts"):
            exception_states.approve(version, actor=lead, seen_sha256=version.content_sha256)
        version = exception_states.approve(
            version, actor=lead, seen_sha256=version.content_sha256, exceed_share=True
        )
        assert (version.exceeds_share, version.exceeds_share_by) == (True, lead.user)

        clock.move_to(NEXT)
        store.append(mapped(*a_day_later(next_day("benign", mark="next"))), batch="next")
        others = {
            **twins(),
            "malicious": a_day_later(next_day("malicious", mark="m")),
            "ambiguous": a_day_later(next_day("ambiguous", mark="n")),
        }
        for name, events in others.items():
            store.append(mapped(*events), batch=name)
        route_matches(rule)
    hidden = Suppression.objects.select_related("alert")
    assert sorted(row.alert.host_id for row in hidden) == sorted(HOSTS)
    assert {row.alert.first_event_at.day for row in hidden} == {19}
    assert Alert.objects.unrouted().count() == 0
    assert Case.objects.filter(first_event_at__date=NEXT.date()).count() == len(others)
    assert [*faults(), *standing_faults(), *miscounted()] == []


def route_matches(rule):
    """Run the rule and route what it finds; what cases would look for next is not what this is about."""
    rule.refresh_from_db()
    run_rules([rule], actor=ACTOR, trigger=RunTrigger.MANUAL)
    deliver_route(None)


def hits(wanted):
    """How many of the stored alerts satisfy every clause."""
    item = exception_matching.compiled_content(wanted)
    subjects = [subject_of(alert) for alert in Alert.objects.all()]
    found = exception_recovery.recover(dict.fromkeys(subjects, item.needs), now=NOON)
    return sum(exception_matching.holds(item, one, found[one.alert_id]) for one in subjects)


GUIDE = (
    (["process.name"], "Do not build it on the `process.name`"),
    (["source.port", "destination.port"], "Do not build it on the `process.name`"),
    (["user.name"], "Do not build it on the `process.name`"),
)


@pytest.mark.parametrize(("fields", "quotes"), GUIDE)
def test_refusals_quote_the_guide(store, fields, quotes):
    rule = shipped_rule()
    found = refusals(rule, *(entry("event", field, "mshta.exe") for field in fields))
    assert any(one.code == "alone" and one.quotes.startswith(quotes) for one in found)
    assert {one.quotes[:18] for one in found if one.code == "no_anchor"} == {"Build an exception"}


@pytest.mark.parametrize("left_out", [0, 1, 2, 3, 4])
def test_each_anchor_of_the_guide_is_demanded(store, left_out):
    rule = shipped_rule()
    entries = workflow(*HOSTS)
    assert refusals(rule, *entries) == []
    kept = [one for number, one in enumerate(entries) if number != left_out]
    assert [one.code for one in refusals(rule, *kept)] == ["no_anchor"]
    # What rules out, or takes anything, is no anchor.
    hollow = {**entries[left_out], "operator": "exists", "values": []}
    assert [one.code for one in refusals(rule, *kept, hollow)] == ["no_anchor"]


def test_every_quote_of_the_overlay_is_in_the_guide(store):
    rule = shipped_rule()
    guide = exception_guardrails.guide_of_rule(rule)
    text = "\n".join(guide.false_positives.points)
    policy = [*guide.false_positives.anchors, *guide.false_positives.refusals]
    assert [one.quotes for one in policy if not one.quotes or one.quotes not in text] == []


def refusals(rule, *entries):
    wanted = content(rule, *entries)
    guide = exception_guardrails.guide_of_rule(rule)
    found = exception_guardrails.guardrails(
        wanted, guide, seen=exception_guardrails.Seen(), now=datetime.now(UTC)
    )
    return [one for one in found if one.level is Level.REFUSED]
