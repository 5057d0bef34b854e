"""F5: a broker that is started anew, emptied, full or silent. Pages answer; work goes on when it is back."""

import time
from functools import partial

import pytest

from tests.faults import databases, number
from tests.faults.stand import Stand
from tests.faults.test_kills import settled
from tests.instance import wait_for

pytestmark = [pytest.mark.live, pytest.mark.timeout(7200)]
PAGE_SECONDS = 6
RECOVERED_SECONDS = 90


def restart(stand, during):
    stand.kill("broker-0")
    during()
    stand.start("broker")


def flush(stand, during):
    stand.driver.call("flush_broker")
    during()


def full(stand, during):
    stand.driver.call("fill_broker", True)
    during()
    stand.driver.call("fill_broker", False)


def black_hole(stand, during):
    with stand.frozen("broker-0"):
        begin = time.monotonic()
        during()
        time.sleep(max(0, number(3, 60) - (time.monotonic() - begin)))


# The silent one first: after a failure nudges leave the broker alone for ten seconds.
FAULTS = (black_hole, restart, flush, full)


@databases("sqlite")
def test_pages_answer_and_work_goes_on(database, tmp_path, figure):
    rounds, sent = number(1, 10), 1
    with Stand(tmp_path / "data", database) as stand:
        stand.start("web")
        wait_for(lambda: answers(stand), "the web server answers")
        stand.send_attack("p-0")
        stand.wait_for_cases(1)
        for fault in FAULTS:
            pages, recoveries = [], []

            for _ in range(rounds):
                fault(stand, partial(nudge_and_look, stand, f"p-{sent}", pages))
                sent += 1
                recoveries.append(stand.wait_for_cases(sent, seconds=RECOVERED_SECONDS))
            assert max(pages) < PAGE_SECONDS
            figure(
                "F5",
                broker=fault.__name__,
                database=stand.kind,
                rounds=rounds,
                page_s_max=round(max(pages), 2),
                recovered_after_s_max=round(max(recoveries), 1),
            )
        facts = settled(stand)
        assert facts["alerts"] == facts["occurrences"] == facts["cases"] == sent
        assert facts["windows_searched_twice"] == []


def nudge_and_look(stand, entity, pages):
    """New telemetry nudges the broker, as pages do; then a page. How long each takes is added."""
    for work in (partial(stand.send_attack, entity), stand.page_seconds):
        begin = time.monotonic()
        work()
        pages.append(time.monotonic() - begin)


def answers(stand):
    try:
        return stand.page_seconds() > 0
    except OSError:
        return False
