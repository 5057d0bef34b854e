"""F1, F2, F15: processes that are killed at any moment, and work that nobody was told of."""

import random
import time

import pytest

from tests.faults import databases, number
from tests.faults.stand import Stand
from tests.faults.test_deliveries import percentiles

pytestmark = pytest.mark.live
INTERVAL_SECONDS = 30
AT_ONCE = "0"


def nothing_is_lost_or_doubled(facts, wanted):
    assert (facts["alerts"], facts["distinct"], facts["occurrences"]) == (wanted, wanted, wanted)
    assert (facts["unrouted"], facts["cases"]) == (0, wanted)
    assert facts["windows_searched_twice"] == []
    assert facts["broken"] == []


@databases("sqlite", "postgresql")
@pytest.mark.timeout(3600)
def test_a_child_killed_at_a_random_moment_loses_and_doubles_nothing(database, tmp_path, figure):
    """F1. The child does what a worker's thread does; the claims that it held are made to expire, as time
    does, and the next one carries on."""
    kills, chance, killed, recoveries = number(20, 200), random.Random(1), 0, []
    with Stand(tmp_path / "data", database, workers=0, beats=0, CASEWRIGHT_WAKE_SECONDS=AT_ONCE) as stand:
        stand.send_attack("p-0")
        whole, sent = stand.driver.call("in_child"), 1
        while killed < kills:
            assert sent < 4 * kills, f"only {killed} of {sent} children were killed before they were done"
            stand.send_attack(f"p-{sent}")
            sent += 1
            killed += stand.driver.call("killed_work", chance.uniform(0, whole))
            stand.driver.call("leases_expire")
            if sent % 5 == 0:
                begin = time.monotonic()
                stand.driver.call("work")
                assert stand.driver.call("alerts") == sent
                recoveries.append(time.monotonic() - begin)
        stand.driver.call("leases_expire")
        stand.driver.call("work")
        facts = stand.driver.call("ledger")
        nothing_is_lost_or_doubled(facts, sent)
        lost = [text for text in facts["runs_not_succeeded"] if "worker was lost" not in text]
        assert lost == []
        assert max(recoveries) < INTERVAL_SECONDS
        figure(
            "F1",
            database=stand.kind,
            kills=killed,
            runs_cut_short=len(facts["runs_not_succeeded"]),
            lost=0,
            doubled=0,
            work_takes_ms=round(whole),
            next_worker_done_after_s_max=round(max(recoveries), 2),
        )


@databases("sqlite")
@pytest.mark.timeout(7200)
def test_a_whole_worker_killed_resumes_without_the_broker_s_help(database, tmp_path, figure):
    """F2. A worker with all its threads is killed and started again, as its supervisor does. Its lease
    ends by itself; the broker would hand its message out an hour later."""
    kills, chance, recoveries = number(5, 50), random.Random(2), []
    with Stand(tmp_path / "data", database) as stand:
        stand.send_attack("p-0")
        stand.wait_for_cases(1)
        for index in range(1, kills + 1):
            stand.send_attack(f"p-{index}")
            stand.driver.call("deliver_wake", 1)
            time.sleep(chance.uniform(0, 0.5))
            stand.kill("worker-0")
            begin = time.monotonic()
            stand.start("worker")
            stand.wait_for_cases(index + 1)
            recoveries.append(time.monotonic() - begin)
        facts = settled(stand)
        nothing_is_lost_or_doubled(facts, kills + 1)
        assert max(recoveries) < 2 * INTERVAL_SECONDS + 10
        figure(
            "F2",
            database=stand.kind,
            kills=kills,
            lost=0,
            doubled=0,
            recovered_after_s_max=round(max(recoveries), 1),
            **percentiles(recoveries),
        )


def settled(stand):
    """The ledger once the outbox is at rest and nobody is at it."""
    deadline = time.monotonic() + 60
    while (facts := stand.driver.call("ledger"))["outbox_pending"] or facts["broken"]:
        assert time.monotonic() < deadline, facts
        time.sleep(1)
    return facts


@databases("postgresql")
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("crash", ["between commit and send", "between work and mark"])
def test_what_a_commit_asked_for_is_done_once(database, tmp_path, crash, figure):
    """F15. The process dies when the alerts are committed and nobody was told, or when the case is open and
    the outbox does not say so yet; the sweep does the rest, once."""
    crashes = number(4, 50)
    with Stand(tmp_path / "data", database, workers=0, beats=0, CASEWRIGHT_WAKE_SECONDS=AT_ONCE) as stand:
        for index in range(crashes):
            stand.send_attack(f"p-{index}")
            if crash == "between commit and send":
                assert stand.driver.call("killed_between_commit_and_send", "detections.tasks.deliver_outbox")
                assert (stand.driver.call("alerts"), stand.driver.call("cases")) == (index + 1, index)
            else:
                assert stand.driver.call("killed_between_work_and_mark")
                assert stand.driver.call("cases") == index + 1
            stand.driver.call("leases_expire")
            stand.driver.call("work")
            assert stand.driver.call("cases") == index + 1
        facts = stand.driver.call("ledger")
        nothing_is_lost_or_doubled(facts, crashes)
        assert facts["outbox_pending"] == 0
        figure("F15", database=stand.kind, crash=crash, crashes=crashes, sent_once=facts["occurrences"])
