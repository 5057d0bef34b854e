"""Timeline and process tree: what is drawn, what is listed, what is said of what was not seen."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from detections.stores.base import Window
from tests.factories import cases
from tests.triage.conftest import HOSTILE
from triage.checks import ALERT
from triage.enums import PivotState
from triage.evidence import shown_runs
from triage.freezing import freeze
from triage.models import PivotRun
from triage.pivot_search import Row
from triage.process_tree import process_tree
from triage.timeline import PLACES, timeline

AT = datetime(2026, 3, 18, 9, 41, tzinfo=UTC)


def started(key, parent="", name="a.exe", **more):
    return {
        "event": {"category": ["process"], "type": ["start"]},
        "process": {"name": name, "entity_id": key, "parent": {"entity_id": parent, "name": parent}, **more},
    }


def wrote(key, path="C:\\x"):
    return {"event": {"category": ["file"]}, "file": {"path": path}, "process": {"entity_id": key}}


@pytest.fixture
def frozen(make_case):
    """A case with these (seconds, document) frozen; the first is the alert's own event."""

    def make(*events, number=1):
        case = make_case(number, first_event_at=AT, last_event_at=AT)
        for key, part in ((ALERT, events[:1]), ("x", events)):
            run = PivotRun.objects.create(case=case, key=key, label=key, state=PivotState.HITS)
            freeze(run, [Row(f"{number}-{s}-{d}"[:64], AT + timedelta(seconds=s), d) for s, d in part])
            run.save()
        return case

    return make


def drawn(case, window=None):
    return timeline(case, shown_runs(case), window)


def tree_of(case, **shape):
    return process_tree(case, shown_runs(case), **shape)


# -- timeline


def test_an_event_of_two_pivots_stands_once_and_the_alert_at_its_last_event(frozen):
    shown = drawn(frozen((0, started("p")), (3, wrote("p"))))
    assert [(item.kind, item.is_of_alert) for item in shown.points] == [
        ("alert", True),
        ("process", True),
        ("file", False),
    ]
    assert {lane.kind.value: lane.total for lane in shown.lanes if lane.total} == {
        "alert": 1,
        "process": 1,
        "file": 1,
    }


def test_many_events_become_marks_with_numbers_and_none_is_lost(frozen):
    shown = drawn(frozen((0, started("p")), *((n / 10, wrote("p", f"C:\\{n}")) for n in range(400))))
    marks = next(lane.marks for lane in shown.lanes if lane.kind == "file")
    assert len(marks) <= PLACES + 1
    assert sum(len(mark.points) for mark in marks) == 400


def test_a_long_case_opens_on_the_burst_around_the_alert(frozen):
    shown = drawn(
        frozen(
            (0, started("p")),
            (-5, wrote("p", "a")),
            (8, wrote("p", "b")),
            (17, wrote("p", "c")),
            (60, wrote("p")),
        )
    )
    assert shown.window == shown.around
    assert [item.at - AT for item in shown.within(None, None)] == [
        timedelta(seconds=n) for n in (-5, 0, 0, 8, 17)
    ]
    assert len(shown.within(AT, AT + timedelta(hours=3))) == 5


def test_a_window_is_drawn_as_asked(frozen):
    case = frozen((0, started("p")), (10, wrote("p")))
    shown = drawn(case, Window(AT + timedelta(seconds=9), AT + timedelta(seconds=11)))
    assert [len(lane.marks) for lane in shown.lanes if lane.kind == "file"] == [1]
    assert shown.in_view == 1
    assert shown.share(AT + timedelta(seconds=10)) == 0.5


def test_nothing_frozen_is_said(as_analyst, make_case):
    page = as_analyst.get(reverse("case_timeline", args=[make_case().pk]))
    assert "Nothing is frozen yet" in page.content.decode()


def test_a_stretch_is_listed_without_script(as_analyst, frozen):
    case = frozen((0, started("p")), (10, wrote("p")))
    url = reverse("case_timeline", args=[case.pk])
    page = as_analyst.get(url, {"start": "2026-03-18T09:41:09.500", "end": "2026-03-18T09:41:10.000"})
    assert [item.kind for item in page.context["items"]] == ["file"]


@pytest.mark.parametrize("start", ["yesterday", "2026-03-18T10:00:00", "9999999", "2026-02-30T00:00:00"])
def test_a_stretch_that_can_not_be_read_is_said_and_kept(as_analyst, frozen, start):
    url = reverse("case_timeline", args=[frozen((0, started("p"))).pk])
    page = as_analyst.get(url, {"start": start, "end": "2026-03-18T09:41:10.000"})
    assert "Write times in UTC" in page.content.decode()
    assert f'value="{start}"' in page.content.decode()


def test_hostile_values_stay_text(as_analyst, frozen):
    case = frozen((0, started("p", name=HOSTILE, command_line=HOSTILE * 40)))
    page = as_analyst.get(reverse("case_timeline", args=[case.pk])).content.decode()
    assert "<script>alert" not in page
    # What is copied is the true value; nobody reads an attribute.
    assert "\u202e" not in re.sub('data-(full|copy)="[^"]*"', "", page)


def test_a_row_of_another_case_is_not_shown(as_analyst, frozen):
    one, other = frozen((0, started("p"))), frozen((0, started("p")), number=2)
    row = other.event_summaries.first().pk
    assert as_analyst.get(reverse("timeline_row", args=[one.pk, row])).status_code == 404
    answer = as_analyst.get(reverse("timeline_row", args=[other.pk, row]), headers={"HX-Request": "true"})
    assert "Frozen document" in answer.content.decode()


def test_queries_do_not_grow_with_rows(as_analyst, frozen):
    few = frozen((0, started("p")), (1, wrote("p")))
    more = ((n, started(f"c{n}", "p")) for n in range(1, 60))
    many = frozen((0, started("p")), *more, number=2)
    counted = []
    for case in (few, many):
        with CaptureQueriesContext(connection) as queries:
            assert as_analyst.get(reverse("case_timeline", args=[case.pk])).status_code == 200
        counted.append(len(queries))
    assert counted[0] == counted[1]


# -- process tree


def test_parents_children_and_counts(frozen):
    tree = tree_of(
        frozen(
            (1, started("p", "up")),
            (0, started("up", "gone")),
            (2, started("c", "p")),
            (3, wrote("p")),
            (4, wrote("p", "C:\\y")),
        )
    )
    assert [node.process.key for node in tree.nodes] == ["gone", "up", "p", "c"]
    assert [node.process.is_named_only for node in tree.nodes] == [True, False, False, False]
    assert tree.centre.process.counts == {"file": 2}
    assert tree.notes[0].startswith("gone is named as a parent, but no event of its own is frozen.")


def test_a_wide_tree_folds_and_says_how_many(frozen):
    tree = tree_of(frozen((0, started("p")), *((n, started(f"c{n}", "p")) for n in range(1, 21))))
    assert (len(tree.below), tree.centre.hidden, tree.folded_below) == (6, 14, 14)
    whole = tree_of(
        frozen((0, started("p")), *((n, started(f"c{n}", "p")) for n in range(1, 21)), number=2), width=400
    )
    assert (len(whole.below), whole.folded_below) == (20, 0)


def test_a_process_that_is_its_own_ancestor_ends_the_walk(frozen):
    tree = tree_of(frozen((0, started("p", "q")), (1, started("q", "p")), (2, started("s", "s"))))
    assert [node.process.key for node in tree.nodes] == ["q", "p"]


def test_a_deep_tree_folds(frozen):
    chain = [(n, started(f"c{n}", f"c{n - 1}" if n else "")) for n in range(50)]
    tree = tree_of(frozen(*chain))
    assert [node.process.key for node in tree.below] == ["c1", "c2", "c3", "c4"]
    assert tree.folded_below == 45


def test_the_malicious_story(store):
    case = cases.cases_of("malicious")[0]
    tree = tree_of(case)
    assert tree.centre.process.name == "mshta.exe"
    assert "powershell.exe" in [node.process.name for node in tree.below]
    assert tree.above[-1].process.name == "svchost.exe"
