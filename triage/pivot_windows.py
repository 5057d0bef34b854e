"""Which time and which hosts a pivot asks: the guide's own, or what a person chose instead."""

import re
from dataclasses import dataclass, replace
from datetime import timedelta

from detections.stores.base import Clause, Filters, Window
from triage.enums import PivotOrigin, PivotScope
from triage.errors import TriageError
from triage.guides.model import AFTER_LAST_EVENT, Guide
from triage.models import Case, PivotRun

LONGEST = timedelta(days=366)
# What people ask around the events when they say nothing else.
USUAL = timedelta(hours=24)
_SPAN = re.compile(r"(\d{1,6}(?:\.\d{1,3})?)\s*(s|m|h|d)?", re.IGNORECASE)
_HOST_FIELDS = ("host.id", "host.name", "host.hostname", "agent.id")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True, slots=True)
class Reach:
    """How far to look before the case's first event and after its last one, and over which hosts.

    before and after None: the guide's own window.
    """

    before: timedelta | None = None
    after: timedelta | None = None
    scope: PivotScope = PivotScope.WRITTEN

    @property
    def is_chosen(self) -> bool:
        return self.before is not None or self.after is not None


def span_of(text: str) -> timedelta:
    """`90m`, `48h`, `7d`; a number alone is hours. Raises TriageError with the remedy."""
    found = _SPAN.fullmatch(text.strip())
    if found is None:
        raise TriageError(f'"{text[:40]}" is no length of time. Write 30m, 48h or 7d.')
    length = timedelta(seconds=float(found[1]) * _UNITS[(found[2] or "h").lower()])
    if length > LONGEST:
        raise TriageError(f'"{text[:40]}" is longer than {LONGEST.days} days. Look at less at a time.')
    return length


def span_text(length: timedelta) -> str:
    """A length of time as `span_of` reads it, in its largest whole unit: 24h, 7d, 5m."""
    seconds = max(0, round(length.total_seconds()))
    for unit in ("d", "h", "m"):
        if seconds and seconds % _UNITS[unit] == 0 and not (unit == "d" and seconds < 3 * _UNITS["d"]):
            return f"{seconds // _UNITS[unit]}{unit}"
    return f"{seconds}s" if seconds else "0h"


def chosen_window(case: Case, reach: Reach) -> Window:
    """The window of a reach that is chosen, around the case's events."""
    before, after = reach.before or timedelta(), reach.after or timedelta()
    return Window(case.first_event_at - before, case.last_event_at + after)


def guide_window(case: Case, guide: Guide, key: str) -> Window:
    """The guide's own window of a pivot, to its full end."""
    try:
        pivot = guide.pivot(key)
    except KeyError:
        raise TriageError("The case's guide has no such pivot any more: its overlay is broken.") from None
    return pivot.window(case.first_event_at, case.last_event_at)


def reach_of(run: PivotRun) -> Reach:
    """The reach that was chosen for a run."""
    before, after = (
        None if seconds is None else timedelta(seconds=seconds)
        for seconds in (run.reach_before, run.reach_after)
    )
    return Reach(before, after, PivotScope(run.scope))


def window_of(case: Case, guide: Guide, run: PivotRun, reach: Reach) -> Window:
    """The whole window that a run of this pivot has with this reach; the searcher cuts it at the present."""
    if reach.is_chosen or run.origin != PivotOrigin.GUIDE:
        return chosen_window(case, reach)
    return guide_window(case, guide, run.key)


def covers(wide: Window, narrow: Window) -> bool:
    return wide.start <= narrow.start and wide.end >= narrow.end


def counts(case: Case, guide: Guide, run: PivotRun, reach: Reach) -> bool:
    """Whether gate and checks may go by such a run: it asks the guide's hosts, over no less than its window.

    Otherwise a narrower question could make evidence vanish, and other hosts' rows would be taken for this
    host's.
    """
    if run.origin != PivotOrigin.GUIDE or reach.scope != PivotScope.WRITTEN:
        return False
    return not reach.is_chosen or covers(chosen_window(case, reach), guide_window(case, guide, run.key))


def shown_reach(case: Case, window: Window) -> tuple[str, str]:
    """A window as lengths before the first and after the last event, for a form."""
    return span_text(case.first_event_at - window.start), span_text(window.end - case.last_event_at)


def usual_reach(scope: PivotScope) -> Reach:
    return Reach(USUAL, AFTER_LAST_EVENT, scope)


# -- hosts


def scope_of(filters: Filters) -> PivotScope:
    """Which hosts filters speak of: one by name, all others than one, or all."""
    if not filters.groups:
        return PivotScope.HOST
    named = [[clause for clause in group if clause.field in _HOST_FIELDS] for group in filters.groups]
    if all(any(not clause.excluded for clause in group) for group in named):
        return PivotScope.HOST
    if all(any(clause.excluded for clause in group) for group in named):
        return PivotScope.OTHERS
    return PivotScope.ALL


def on_hosts(filters: Filters, scope: PivotScope, host_id: str) -> Filters:
    """The filters over the hosts of a scope. `written` leaves them as they are.

    Raises TriageError where nothing would be left of a group: that would read everything.
    """
    if scope is PivotScope.WRITTEN:
        return filters
    bare = tuple(
        tuple(clause for clause in group if clause.field not in _HOST_FIELDS) for group in filters.groups
    )
    if not all(bare):
        raise TriageError("Without its host this pivot would read everything. Ask for a value instead.")
    if scope is PivotScope.ALL:
        return Filters(bare)
    own = Clause("host.id", values=(host_id,))
    clause = own if scope is PivotScope.HOST else replace(own, excluded=True)
    return Filters(tuple((*group, clause) for group in bare))
