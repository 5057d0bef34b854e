"""Placeholders are filled whole or the pivot is blocked."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from detections.stores.base import Clause, Filters, Operator
from triage.guides import Blocked, fill
from triage.guides.model import Pivot, TimeOffset

EVENTS = [
    {
        "host": {"id": "h"},
        "process": {"entity_id": "e", "pid": 7, "command_line": "mshta"},
        "user": {"id": "a"},
    },
    {
        "host": {"id": "h"},
        "process": {"entity_id": "e"},
        "user": {"id": "b"},
        "host.ip": ["1.1.1.1", "1.1.1.2"],
    },
]
PIVOT = Pivot(
    "k", "Label", "", "q", Filters(()), (), TimeOffset(timedelta(hours=-1)), TimeOffset(timedelta())
)


def filled(value, earlier=None, operator=Operator.IS):
    clauses = (Clause("event.category", Operator.IS, ("file",)), Clause("x", operator, (value,)))
    found = fill(replace(PIVOT, filters=Filters((clauses,))), EVENTS, earlier)
    return found if isinstance(found, Blocked) else found.groups[0][1]


def test_a_value_that_the_events_agree_on_is_placed_whole():
    assert filled("{{host.id}}") == Clause("x", Operator.IS, ("h",))


def test_a_value_keeps_its_type():
    assert filled("{{ events[0].process.pid }}") == Clause("x", Operator.IS, (7,))


def test_a_value_of_one_event_alone_is_the_alerts():
    assert filled("{{process.command_line}}") == Clause("x", Operator.IS, ("mshta",))


def test_several_values_are_alternatives():
    assert filled("{{host.ip}}") == Clause("x", Operator.IS_ONE_OF, ("1.1.1.1", "1.1.1.2"))


def test_an_absent_field_blocks():
    assert filled("{{source.ip}}") == Blocked("source.ip", "The alert has no source.ip.")


def test_a_field_that_differs_blocks_unless_an_event_is_named():
    assert filled("{{user.id}}") == Blocked(
        "user.id",
        "user.id differs between the alert's events; name one of events[0].user.id, events[1].user.id.",
    )
    assert filled("{{events[1].user.id}}") == Clause("x", Operator.IS, ("b",))


def test_an_event_that_is_not_there_blocks():
    assert filled("{{events[2].user.id}}") == Blocked(
        "events[2].user.id", "The alert has 2 events, so there is no events[2]."
    )


def test_alternatives_take_the_first_with_a_value():
    assert filled("{{source.ip|events[0].user.id}}") == Clause("x", Operator.IS, ("a",))
    assert filled("{{source.ip|destination.ip}}") == Blocked(
        "source.ip|destination.ip",
        "None of these has a value: The alert has no source.ip. The alert has no destination.ip.",
    )


def test_a_pivot_that_follows_another_takes_its_hits():
    hits = {"children": [{"process": {"entity_id": "c1"}}, {"process": {"entity_id": "c2"}}]}
    assert filled("{{pivots.children.process.entity_id}}", hits) == Clause(
        "x", Operator.IS_ONE_OF, ("c1", "c2")
    )


def test_a_pivot_that_follows_nothing_is_blocked():
    assert isinstance(filled("{{pivots.children.process.entity_id}}"), Blocked)
    assert isinstance(filled("{{pivots.children.process.entity_id}}", {"children": []}), Blocked)


@pytest.mark.parametrize("value", ["", None, []])
def test_an_empty_value_is_none(value):
    pivot = replace(PIVOT, filters=Filters(((Clause("x", Operator.IS, ("{{a}}",)),),)))
    assert fill(pivot, [{"a": value}]) == Blocked("a", "The alert has no a.")


def test_a_hostile_value_stays_a_value():
    pivot = replace(PIVOT, filters=Filters(((Clause("x", Operator.IS, ("{{a}}",)),),)))
    found = fill(pivot, [{"a": '" or {{b}} : "*'}])
    assert found == Filters(((Clause("x", Operator.IS, ('" or {{b}} : "*',)),),))


def test_the_window_stands_around_the_alerts_events():
    first, last = datetime(2026, 3, 18, 9, 41, 6, tzinfo=UTC), datetime(2026, 3, 18, 9, 42, tzinfo=UTC)
    window = replace(PIVOT, relative_from=TimeOffset(timedelta(hours=-48), "h")).window(first, last)
    assert window.start == datetime(2026, 3, 16, 9, 0, tzinfo=UTC)
    assert window.end == datetime(2026, 3, 18, 10, 42, tzinfo=UTC)


def test_the_other_side_is_worked_out_where_source_is_the_host_itself():
    connection = {
        "host": {"name": "victim", "ip": ["10.0.0.1"]},
        "network": {"direction": "ingress"},
        "source": {"ip": "10.0.0.1", "port": 1},
        "destination": {"ip": "10.0.0.2", "port": 2},
    }
    pivot = replace(PIVOT, filters=Filters(((Clause("source.ip", Operator.IS, ("{{remote.ip}}",)),),)))
    assert fill(pivot, [connection]) == Filters(((Clause("source.ip", Operator.IS, ("10.0.0.2",)),),))
    assert fill(pivot, [{"host": {"name": "victim"}}]) == Blocked(
        "remote.ip", "The other side of the alert's connection can't be told from its events."
    )
