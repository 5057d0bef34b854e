"""F4: two and three beats, one task delivered twenty times: one run a window."""

import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from detections import run, schedules, wake
from detections.models import Alert, Rule, RuleRun
from tests.factories.events import attack, mapped
from tests.factories.rules import rule
from tests.faults import databases, number, percentile
from tests.faults.histories import Unsure
from tests.faults.stand import Stand

DELIVERIES = 20


class Slow(Unsure):
    """A store that takes its time, so that deliveries meet."""

    def search_eql(self, searches, region, **options):
        time.sleep(0.1)
        return super().search_eql(searches, region, **options)


def at_once(work, times):
    gate = threading.Barrier(times)

    def one():
        gate.wait()
        try:
            work()
        finally:
            connection.close()

    threads = [threading.Thread(target=one) for _ in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.django_db(transaction=True)
@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_twenty_deliveries_at_once_are_one_run(store, monkeypatch, actor, holds):
    schedules.set_enabled(rule(enabled=False), True, actor=actor)
    monkeypatch.setattr(run, "event_store", lambda: Slow(store))
    for index in range(number(3, 100)):
        now = datetime.now(UTC) + timedelta(minutes=5 * index)
        store.append(mapped(*attack(now - timedelta(minutes=1), entity=f"p-{index}")), batch=f"f4:{index}")
        Rule.objects.update(due_since=now - timedelta(minutes=1))
        at_once(lambda now=now: wake.wake(now=now), DELIVERIES)
        assert RuleRun.objects.count() == index + 1
        assert list(RuleRun.objects.exclude(status="succeeded").values_list("error", flat=True)) == []
        assert Alert.objects.count() == index + 1
    holds()


@databases("postgresql")
@pytest.mark.live
@pytest.mark.timeout(3600)
def test_beats_and_workers_of_one_database_run_each_window_once(database, tmp_path, figure):
    """Three beats, three workers and twenty messages a round, as real processes on a real broker."""
    rounds = number(3, 100)
    with Stand(tmp_path / "data", database, workers=3, beats=3) as stand:
        latencies = []
        for index in range(rounds):
            stand.send_attack(f"p-{index}")
            stand.driver.call("deliver_wake", DELIVERIES)
            latencies.append(stand.wait_for_cases(index + 1))
        facts = stand.driver.call("ledger")
        assert facts["alerts"] == facts["cases"] == rounds
        assert facts["runs_not_succeeded"] == []
        assert facts["windows_searched_twice"] == []
        assert facts["broken"] == []
        figure("F4", database=stand.kind, rounds=rounds, runs=facts["runs"], **percentiles(latencies))


def percentiles(seconds):
    return {f"case_after_s_p{share}": percentile(seconds, share) for share in (50, 95)}
