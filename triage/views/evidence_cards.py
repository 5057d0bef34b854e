"""A pivot run as the page shows it: its state in words, its rows in the columns of the question."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import Q
from django.utils.dateparse import parse_datetime

from detections import ecs
from detections.enums import TelemetryKind
from triage.checks import is_alert
from triage.enums import PivotOrigin, PivotState
from triage.evidence import kind_word
from triage.guides.model import Guide
from triage.models import Evidence, PivotRun
from triage.templatetags.moments import took

ROWS_SHOWN = 20
FOCUS_COLUMNS = 7
# Fields that say nothing in a table that already has the time, the host and the process in its title.
_TIMES = {"@timestamp"}
_USUAL = ("event.action", "process.name", "process.command_line", "source.ip", "destination.ip", "user.name")


@dataclass(frozen=True, slots=True)
class Card:
    """run: the newest attempt. rows: those shown, pinned ones always among them. columns: dotted fields."""

    run: PivotRun
    rows: Sequence[Evidence] = ()
    columns: Sequence[str] = ()
    description: str = ""
    silence: Sequence["Silence"] = field(default=())

    @property
    def is_of_guide(self) -> bool:
        return self.run.origin == PivotOrigin.GUIDE

    @property
    def is_over_hosts(self) -> bool:
        """Whether its silence speaks of many hosts, which its reason counts."""
        return any("hosts" in entry for entry in self.run.coverage)

    @property
    def can_be_compared(self) -> bool:
        """Whether the same can be asked again to see what changed."""
        searched = (PivotState.HITS, PivotState.NO_HITS, PivotState.PARTIAL, PivotState.NO_TELEMETRY)
        return bool(self.run.query) and not self.is_alert and self.run.state in searched

    @property
    def pill(self) -> str:
        """The state in words, as it stands in the pill."""
        state, run = PivotState(self.run.state), self.run
        if self.is_alert:
            return f"{run.total:,} {'event' if run.total == 1 else 'events'}"
        if state is PivotState.HITS:
            return f"{run.total:,} {'hit' if run.total == 1 else 'hits'}"
        if state is PivotState.PARTIAL:
            return f"Partial · {run.total:,} {'hit' if run.total == 1 else 'hits'} so far"
        return {
            PivotState.NO_HITS: self._silent_pill,
            PivotState.NO_TELEMETRY: "No telemetry",
            PivotState.BLOCKED: "Blocked",
            PivotState.FAILED: "Failed",
            PivotState.RUNNING: "Running",
        }.get(state, "Not run")

    @property
    def _silent_pill(self) -> str:
        if not self.is_asked:
            return "No hits · nothing to follow"
        if self.reads_alerts:
            return "No hits · all alerts searched"
        if self.is_over_hosts:
            hosts = min(entry["hosts"] for entry in self.run.coverage if "hosts" in entry)
            return f"No hits · {hosts:,} {'host' if hosts == 1 else 'hosts'} reporting"
        return "No hits · other hosts" if self.is_elsewhere else "No hits · host reporting"

    @property
    def is_elsewhere(self) -> bool:
        """Whether the alert's own host was left out: what it sends then says nothing of those searched."""
        return (
            self.is_asked
            and self.is_of_guide
            and all(
                any(clause["field"] == "host.id" and clause["excluded"] for clause in group)
                for group in self.run.query
                if isinstance(group, list)
            )
        )

    @property
    def reads_alerts(self) -> bool:
        """Whether it looked for alerts: these are kept here, whatever the host sends."""
        return bool(self.run.kinds == [TelemetryKind.ALERT.value])

    @property
    def is_asked(self) -> bool:
        """Whether anything was searched: a pivot that follows one without hits has nothing to ask."""
        return bool(self.run.query)

    @property
    def is_waiting(self) -> bool:
        return self.run.state in (PivotState.NOT_RUN, PivotState.RUNNING)

    @property
    def is_alert(self) -> bool:
        """Whether these are an alert's own events, which were never searched for."""
        return is_alert(self.run)

    @property
    def is_searched(self) -> bool:
        return self.run.window_start is not None and self.run.state not in (
            PivotState.NOT_RUN,
            PivotState.BLOCKED,
        )

    @property
    def took(self) -> str:
        return took(self.run.took_ms)

    @property
    def moments(self) -> list[datetime]:
        return [row.event_at for row in self.rows]

    @property
    def more(self) -> int:
        """Rows that are kept but not shown here."""
        return max(0, self.run.kept - len(self.rows))

    @property
    def not_kept(self) -> int:
        return max(0, self.run.total - self.run.kept)

    @property
    def query(self) -> Any:
        return self.run.query


@dataclass(frozen=True, slots=True)
class Silence:
    """What a host sent of one kind of telemetry around the pivot's window."""

    kind: str
    is_present: bool
    during: int
    last_seen: datetime | None


def cards(
    runs: Iterable[PivotRun], guide: Guide, *, most: int = ROWS_SHOWN, focus: Sequence[str] = ()
) -> list[Card]:
    """The runs with their rows, in one query however many runs and rows there are.

    focus: columns for a run that names none (the alert's own events): those the question looks at.
    """
    runs = list(runs)
    rows: dict[int, list[Evidence]] = {}
    # The pivots stand in both branches: else no index serves them, and every row of each pivot is read.
    first = Q(position__lte=most, pivot__in=runs)
    pinned = Q(pinned_at__isnull=False, pivot__in=runs)
    for row in Evidence.objects.filter(first | pinned).order_by("pivot", "position"):
        rows.setdefault(row.pivot_id, []).append(row)
    return [_card(run, rows.get(run.pk, []), guide, focus) for run in runs]


def card(run: PivotRun, guide: Guide) -> Card:
    return cards([run], guide)[0]


def _card(run: PivotRun, rows: list[Evidence], guide: Guide, focus: Sequence[str]) -> Card:
    pivot = next((pivot for pivot in guide.pivots if pivot.key == run.key), None)
    return Card(
        run=run,
        rows=rows,
        columns=_columns(run.columns or focus, rows),
        description=pivot.description if pivot else "",
        silence=[
            Silence(
                kind_word(entry["kind"]),
                bool(entry["present"]),
                int(entry.get("during") or 0),
                parse_datetime(entry["last_seen"]) if entry.get("last_seen") else None,
            )
            for entry in run.coverage
            if entry["kind"] in run.kinds
        ],
    )


def _columns(wanted: Sequence[str], rows: Sequence[Evidence]) -> list[str]:
    """The fields worth a column: those asked for, the ones that some row has before those that none has."""
    names = [name for name in dict.fromkeys(wanted or _USUAL) if name not in _TIMES]
    filled = [name for name in names if any(ecs.get(row.document, name) is not None for row in rows)]
    return (filled + [name for name in names if name not in filled])[:FOCUS_COLUMNS]
