"""A scenario's next day: the same workflow by other processes."""

from detections import ecs
from detections.scenario_days import next_day


def test_a_day_has_the_events_of_the_last_one_and_processes_of_its_own():
    one, again, other = (next_day("benign", mark=mark) for mark in ("a", "a", "b"))
    assert (len(one), {event["@timestamp"][:10] for event in one}) == (48, {"2026-03-18"})
    assert one == again
    started = [
        {
            ecs.text(event, "process.entity_id")
            for event in day
            if ecs.text(event, "process.name") == "mshta.exe"
        }
        for day in (one, other)
    ]
    assert [len(ids) for ids in started] == [3, 3]
    assert not started[0] & started[1]
