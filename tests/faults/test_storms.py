"""F10: a burst of matches. The cap limits cases; every match is stored, and the rest is one storm case."""

import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from detections import outbox, schedules
from detections.enums import RunTrigger
from detections.models import Alert, RuleRun
from detections.run import run_rules
from tests.factories.events import attack, mapped
from tests.factories.rules import rule
from tests.faults import databases, number, percentile
from tests.faults.stand import Stand
from tests.instance import wait_for
from triage.models import Case, Occurrence

CAP = 100
WITHIN_SECONDS = 60


@pytest.mark.django_db(transaction=True)
@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("round_", range(number(1, 5)))
def test_a_burst_is_stored_whole_and_opens_no_more_cases_than_the_cap(store, actor, holds, figure, round_):
    sequences = number(400, 5_000)
    enabled = schedules.set_enabled(rule(enabled=False, settle_seconds=0, max_cases=CAP), True, actor=actor)
    at = datetime.now(UTC) - timedelta(minutes=2)
    events = [
        event
        for index in range(sequences)
        for event in attack(
            at + timedelta(milliseconds=index), host=f"host-{index % 50}", entity=f"p-{index}"
        )
    ]
    store.append(mapped(*events), batch="burst")
    enabled.refresh_from_db()
    begin = time.monotonic()
    run_rules([enabled], actor=actor, trigger=RunTrigger.IMPORT)
    searched = time.monotonic() - begin
    outbox.deliver_ready(1)
    routed = time.monotonic() - begin
    made = RuleRun.objects.get()
    assert (made.status, made.alerts_new) == ("succeeded", sequences)
    assert Alert.objects.count() == Occurrence.objects.count() == sequences
    assert (made.cases_opened, made.cases_capped) == (CAP, sequences - CAP)
    storm = Case.objects.get(is_storm=True)
    assert (Case.objects.count(), storm.occurrence_count) == (CAP + 1, sequences - CAP)
    figure("F10", events=2 * sequences, alerts=sequences, cases=CAP, storm_cases=1,
           stored_after_s=round(searched, 1), routed_after_s=round(routed, 1))  # fmt: skip
    assert routed < WITHIN_SECONDS
    holds()


PAGES = ("/", "/health/", "/cases/1/")
PAGE_SECONDS = 6
USUAL_PAGE_SECONDS = 2
MOST_MIB = 700


@databases("sqlite")
@pytest.mark.live
@pytest.mark.timeout(600)
@pytest.mark.parametrize("round_", range(number(1, 5)))
def test_pages_answer_and_memory_is_bounded_while_a_burst_is_worked(database, tmp_path, figure, round_):
    """An analyst goes on clicking; the memory of worker and web server is looked at ten times a second."""
    sequences = number(200, 5_000)
    with Stand(tmp_path / "data", database) as stand:
        stand.start("web")
        wait_for(lambda: _answers(stand), "the web server answers")
        cookie = stand.driver.call("sign_in")
        stand.send_attack("first")
        stand.wait_for_cases(1)
        before = max(stand.page_seconds(path, cookie) for path in PAGES for _ in range(3))
        watched = _Watched(stand)
        begin = time.monotonic()
        stand.send_attack_of(sequences)
        taken = []
        while stand.driver.call("occurrences") < sequences + 1:
            assert time.monotonic() - begin < 10 * WITHIN_SECONDS
            taken += [stand.page_seconds(path, cookie) for path in PAGES]
        worked = time.monotonic() - begin
        peak = watched.ended()
        facts = stand.driver.call("ledger")
        assert (facts["alerts"], facts["occurrences"], facts["cases"]) == (sequences + 1,) * 2 + (CAP + 2,)
        figure(
            "F10 pages",
            database=stand.kind,
            events=2 * sequences,
            worked_s=round(worked, 1),
            pages=len(taken),
            page_s_before_max=round(before, 2),
            page_s_p50=percentile(taken, 50),
            page_s_p95=percentile(taken, 95),
            page_s_max=round(max(taken), 2),
            **peak,
        )
        assert percentile(taken, 95) < USUAL_PAGE_SECONDS
        assert max(taken) < PAGE_SECONDS
        assert max(peak.values()) < MOST_MIB


class _Watched:
    """Looks at the memory of worker and web until it is ended."""

    def __init__(self, stand):
        self._stand, self._end = stand, threading.Event()
        names = {"worker": "worker-0", "web": "web-0"}
        self._peak = {f"{kind}_mib_before": stand.memory(name) for kind, name in names.items()}
        self._peak |= {f"{kind}_mib_max": 0 for kind in names}
        self._thread = threading.Thread(target=self._look, args=[names], daemon=True)
        self._thread.start()

    def _look(self, names):
        while not self._end.wait(0.1):
            for kind, name in names.items():
                held = self._stand.memory(name)
                self._peak[f"{kind}_mib_max"] = max(self._peak[f"{kind}_mib_max"], held)

    def ended(self):
        self._end.set()
        self._thread.join()
        return self._peak


def _answers(stand):
    try:
        return stand.page_seconds() > 0
    except OSError:
        return False
