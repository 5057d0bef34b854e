"""F6: the database is stopped, its connections are cut, its disk is full. Nothing is half-written."""

import contextlib
import time

import pytest

from tests.faults import databases, number
from tests.faults.stand import Stand
from tests.faults.test_kills import settled
from tests.instance import wait_for

pytestmark = [pytest.mark.live, pytest.mark.timeout(7200)]
RECOVERED_SECONDS = 120
CUT = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname LIKE 'fault%'"


EACH = 4


def stopped(server):
    server.stop()
    time.sleep(number(2, 60))
    server.start()


def connections_cut(server):
    for _ in range(5):
        time.sleep(0.1)
        server.execute(CUT)


def test_a_database_that_goes_away_loses_and_halves_nothing(postgresql_server, tmp_path, figure):
    rounds, sent = number(1, 10), 1
    with Stand(tmp_path / "data", postgresql_server.new_database()) as stand:
        stand.send_attack("p-0")
        stand.wait_for_cases(1)
        for fault in (stopped, connections_cut):
            recoveries = []
            for _ in range(rounds):
                stand.send_attack(f"p-{sent}")
                sent += 1
                fault(postgresql_server)
                with contextlib.suppress(
                    RuntimeError
                ):  # the driver's own connection is cut too: it asks anew
                    stand.driver.call("cases")
                recoveries.append(stand.wait_for_cases(sent, seconds=RECOVERED_SECONDS))
            figure(
                "F6",
                database_is=fault.__name__,
                rounds=rounds,
                recovered_after_s_max=round(max(recoveries), 1),
            )
        facts = settled(stand)
    assert facts["alerts"] == facts["distinct"] == facts["occurrences"] == facts["cases"] == sent
    assert (facts["unrouted"], facts["windows_searched_twice"]) == (0, [])


@databases("sqlite")
def test_a_full_disk_halves_nothing(database, tmp_path, figure):
    rounds, wanted = number(1, 10), 1
    with Stand(tmp_path / "data", database) as stand:
        stand.send_attack("p-first")
        stand.wait_for_cases(wanted)
        settled(stand)
        for table, is_whole in (("detections_alert", no_alert), ("triage_occurrence", no_half_case)):
            recoveries = []
            for _ in range(rounds):
                stand.driver.call("refuse_writes", table, True)
                is_whole(stand, wanted)
                stand.driver.call("refuse_writes", table, False)
                wanted += EACH
                recoveries.append(stand.wait_for_cases(wanted, seconds=RECOVERED_SECONDS))
                facts = settled(stand)
            figure(
                "F6",
                disk_full_at=table,
                database=stand.kind,
                rounds=rounds,
                recovered_after_s_max=round(max(recoveries), 1),
            )
    assert facts["alerts"] == facts["distinct"] == facts["occurrences"] == facts["cases"] == wanted


def no_alert(stand, before):
    """A run that can't store all of its alerts stores none."""
    failures = stand.driver.call("failed_runs")
    stand.driver.call("attack", f"p-{before}", EACH)
    wait_for(lambda: stand.driver.call("failed_runs") > failures, "a run fails")
    assert (stand.driver.call("alerts"), stand.driver.call("cases")) == (before, before)


def no_half_case(stand, before):
    """Alerts are stored; each case that can't be opened whole is not opened."""
    stand.driver.call("attack", f"p-{before}", EACH)
    wait_for(lambda: stand.driver.call("outbox_errors") > 0, "routing fails")
    assert stand.driver.call("alerts") == before + EACH
    assert stand.driver.call("cases") == stand.driver.call("occurrences") < before + EACH
