"""F10: a burst of matches. The cap limits cases; every match is stored, and the rest is one storm case."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from detections import outbox, schedules
from detections.enums import RunTrigger
from detections.models import Alert, RuleRun
from detections.run import run_rules
from tests.factories.events import attack, mapped
from tests.factories.rules import rule
from tests.faults import number
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
