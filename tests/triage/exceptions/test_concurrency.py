"""Many who decide on one exception in the same moment: one wins, the others are told why."""

import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.db import connection

from detections.actors import of_user
from detections.models import JournalEntry
from tests.conftest import person
from tests.factories.exceptions import content, proposed
from tests.factories.rules import rule as make_rule
from tests.faults import keep_figure
from tests.faults import number as number_of
from triage.errors import TriageError
from triage.exception_items import states as exception_states
from triage.models import ExceptionVersion

pytestmark = pytest.mark.django_db(transaction=True)


def together(works):
    barrier = Barrier(len(works))

    def one(work):
        barrier.wait()
        try:
            return work()
        except TriageError as error:
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(one, works))


def one_round(people, number):
    """Approvals and edits of one proposal at once. Returns what each got."""
    writer, *others = people
    version = proposed(make_rule(f"r{number}"), by=writer)
    changed = [content(version.item.rule, reason=f"Edit {each}.") for each in range(len(others))]

    def approve(actor):
        return lambda: exception_states.approve(version, actor=actor, seen_sha256=version.content_sha256)

    def edit(actor, new):
        return lambda: exception_states.edit(version, new, actor=actor, revision=version.revision)

    works = [
        approve(actor) if position % 2 else edit(actor, changed[position])
        for position, actor in enumerate(others)
    ]
    return version, together(works)


def check(version, results):
    won = [result for result in results if isinstance(result, ExceptionVersion)]
    lost = [result for result in results if isinstance(result, TriageError)]
    rows = list(ExceptionVersion.objects.filter(item=version.item).order_by("number"))
    assert (len(won), len(lost)) == (1, len(results) - 1)
    assert all(str(error) for error in lost)
    states = [row.state for row in rows]
    assert states in (["active"], ["superseded", "draft"])
    entries = JournalEntry.objects.filter(stream__name=version.item.stream)
    assert entries.filter(verb__in=["exception_approved", "exception_edited"]).count() == 1


def test_of_ten_approvals_and_edits_one_wins(store):
    people = [of_user(person(f"lead{number}", "Lead")) for number in range(11)]
    check(*one_round(people, 0))


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_of_fifty_one_wins_each_time(store):
    """200 rounds by `make faults`."""
    people, took = [of_user(person(f"lead{number}", "Lead")) for number in range(51)], []
    for number in range(rounds := number_of(3, 200)):
        began = time.monotonic()
        check(*one_round(people, number))
        took.append(round(time.monotonic() - began, 2))
    keep_figure(
        "exception races",
        database=connection.vendor,
        rounds=rounds,
        deciders=50,
        winners_a_round=1,
        seconds=[took[0], sorted(took)[rounds // 2], took[-1]],
    )
