"""What is refused where a guide says nothing, and how much one exception may hide."""

from datetime import UTC, datetime

import pytest

from tests.factories.cases import alert
from tests.factories.events import attack
from tests.factories.exceptions import PLAIN, content
from tests.factories.rules import rule as make_rule
from triage.exception_items.guardrails import Level, Seen, guardrails, guide_of_rule, seen_of

pytestmark = pytest.mark.django_db
AT = datetime.now(UTC)


@pytest.fixture
def rule(store):
    return make_rule()


def entry(field, operator="is", *values):
    return {"scope": "event", "field": field, "operator": operator, "values": list(values)}


def codes(rule, *entries, seen=None, level=Level.REFUSED):
    wanted = content(rule, *entries)
    found = guardrails(wanted, guide_of_rule(rule), seen=seen or Seen(), now=datetime.now(UTC))
    return [one.code for one in found if one.level is level]


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        (PLAIN, []),
        ([entry("process.name", "is", "x.exe")], ["no_anchor", "alone"]),
        ([entry("source.port", "is", "50001")], ["no_anchor", "alone"]),
        ([entry("user.name", "is", "svc")], ["no_anchor", "alone"]),
        ([entry("process.command_line", "is", "x")], ["no_anchor"]),
        ([entry("host.id", "is", "h"), entry("process.name", "matches", "**")], ["takes_everything"]),
        ([entry("source.ip", "cidr", "0.0.0.0/0"), entry("host.id", "is", "h")], ["takes_everything"]),
        ([{**entry("host.id", "is", "h"), "negated": True}], ["no_anchor"]),
    ],
)
def test_without_a_guide_sound_defaults_hold(rule, entries, expected):
    assert codes(rule, *entries) == expected


def test_a_wildcard_that_takes_every_value_seen_is_refused(rule):
    for number in range(3):
        alert(rule, attack(AT, host=f"host-{number}"), AT, name=f"a{number}")
    wide, narrow = entry("host.id", "matches", "host-*"), entry("host.id", "matches", "host-1*")
    for each, expected in ((wide, ["takes_everything"]), (narrow, [])):
        wanted = content(rule, each)
        assert codes(rule, each, seen=seen_of(wanted, now=datetime.now(UTC))) == expected


def test_more_than_its_share_needs_a_permission(rule):
    for number in range(10):
        alert(rule, attack(AT, host=f"host-{number % 3}"), AT, name=f"a{number}")
    half = content(rule, entry("host.id", "is_one_of", "host-0", "host-2"))
    seen = seen_of(half, now=datetime.now(UTC))
    assert (seen.alerts, seen.held) == (10, 7)
    assert codes(rule, *PLAIN, seen=seen, level=Level.SHARE) == ["share"]
    assert codes(rule, *PLAIN, seen=Seen(10, 5), level=Level.SHARE) == []
    assert codes(rule, *PLAIN, seen=Seen(9, 9), level=Level.SHARE) == []
