"""Telemetry that arrives when it likes, a rule that runs when it can, an evaluator that sees everything."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from detections import alerts, coverage, run, schedules
from detections.actors import system
from detections.enums import GapReason, RunTrigger
from detections.eql.execute import ResultPosition, execute
from detections.eql.parser import parse
from detections.errors import StoreError
from detections.models import Alert, Rule, RuleRun
from detections.stores.base import MappedEvent
from detections.windows import Unsearched
from tests.factories.rules import rule as make_rule

ACTOR = system("fault test")
_batches = count()


@dataclass(slots=True)
class Unsure:
    """The event store as a run asks it; it gives up where `fails` says so."""

    store: Any
    fails: bool = False

    def head(self) -> int:
        return int(self.store.head())

    def search_eql(self, searches: Any, region: Any, **options: Any) -> Any:
        if self.fails:
            raise StoreError("The store gave up in the middle.")
        return self.store.search_eql(searches, region, **options)


class History:
    """One rule over one store, both in the time that the test says it is."""

    def __init__(self, store: Any, monkeypatch: Any, begin: datetime, **fields: Any) -> None:
        self.now = begin
        self.sent: list[MappedEvent] = []
        self.store = Unsure(store)
        self._embedded = store
        store.appender.clock = lambda: self.now
        monkeypatch.setattr(run, "event_store", lambda: self.store)
        self.rule: Rule = make_rule(enabled=False, **fields)
        self.rule = schedules.set_enabled(self.rule, True, actor=ACTOR, now=begin)

    def arrive(self, events: Iterable[MappedEvent]) -> None:
        """These events reach the store now, in one batch."""
        events = list(events)
        if events:
            self._embedded.append(events, batch=f"fault:{next(_batches)}")
            self.sent += events

    def run(self, *, failing: bool = False) -> list[RuleRun]:
        self.store.fails = failing
        self.rule.refresh_from_db()
        return run.run_rules([self.rule], actor=ACTOR, trigger=RunTrigger.SCHEDULE, now=self.now)

    def finish(self, *, after: timedelta = timedelta(days=4)) -> list[RuleRun]:
        """A last run, when every clock that ran ahead has been caught up with."""
        self.now += after
        return self.run()

    def search_again(self) -> None:
        """All of it once more, as the filling of a gap does: everything that is found is known."""
        self.rule.refresh_from_db()
        assert self.rule.covered_until is not None
        gap = Unsearched(None, self.rule.covered_until, 0, self.rule.mark)
        coverage.open_gap(self.rule, gap, GapReason.FAILED)
        _, filled = self.run()
        assert (filled.status, filled.alerts_new) == ("succeeded", 0)

    def expected(self) -> set[str]:
        """The alert ids that an evaluator over all events, without regions and cursors, finds."""
        identities = {id(event.document): event.identity for event in self.sent}
        assert self.rule.current is not None
        rows = execute(
            parse(self.rule.current.query),
            [event.document for event in self.sent],
            self._embedded.known_fields(),
            size=10**9,
            result_position=ResultPosition.HEAD,
        )
        return {
            alerts.alert_id(self.rule.rule_id, [identities[id(document)] for document in row.events])
            for row in rows
        }

    def stored(self) -> list[str]:
        return list(Alert.objects.values_list("alert_id", flat=True))
