"""A scope search as people read it: hosts against indicators, what each cell means, what a re-run changed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from triage.enums import ScopeCellState, ScopeColumnState
from triage.models import Case, ScopeCell, ScopeColumn, ScopeHost, ScopeRun
from triage.scope.indicators import report_word

_STATES = {
    ScopeColumnState.WAITING: ScopeCellState.RUNNING,
    ScopeColumnState.PARTIAL: ScopeCellState.PARTIAL,
    ScopeColumnState.BLOCKED: ScopeCellState.BLOCKED,
    ScopeColumnState.FAILED: ScopeCellState.FAILED,
}
_MOST_TOLD = 12


@dataclass(frozen=True, slots=True)
class Cell:
    """state: a ScopeCellState. hits: the row of a cell with hits. is_new: the search before had none."""

    state: str
    hits: ScopeCell | None = None
    is_new: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    host: ScopeHost
    cells: tuple[Cell, ...]
    is_case_host: bool = False


@dataclass(frozen=True, slots=True)
class Difference:
    """What a search found that the one before had not, and the other way round, of what both looked for.

    hosts: that are hit now and were not at all. new, gone: host and indicator.
    """

    before: ScopeRun
    hosts: tuple[str, ...] = ()
    new: tuple[tuple[str, str], ...] = ()
    gone: tuple[tuple[str, str], ...] = ()
    new_total: int = 0
    gone_total: int = 0


def hosts_of(run: ScopeRun, *, only_hits: bool = False) -> "Any":
    """The hosts of a run, those with most hits first."""
    hosts = run.hosts.order_by("-columns_hit", "-events", "host_name", "host_id")
    return hosts.filter(columns_hit__gt=0) if only_hits else hosts


def rows(run: ScopeRun, hosts: Sequence[ScopeHost], columns: Sequence[ScopeColumn]) -> list[Row]:
    """The matrix over these hosts. The number of queries does not depend on how many there are."""
    shown = [host.pk for host in hosts]
    found = {
        (cell.host_id, cell.column_id): cell
        for cell in ScopeCell.objects.filter(column__run=run, host__in=shown).defer("samples")
    }
    earlier = _earlier(run, hosts)
    return [
        Row(
            host,
            tuple(_cell(host, column, found, earlier) for column in columns),
            bool(run.case.host_id) and host.host_id == run.case.host_id,
        )
        for host in hosts
    ]


def _cell(
    host: ScopeHost,
    column: ScopeColumn,
    found: Mapping[tuple[int, int], ScopeCell],
    earlier: "_Earlier | None",
) -> Cell:
    hits = found.get((host.pk, column.pk))
    if hits is not None:
        is_new = earlier is not None and column.key in earlier.keys
        is_new = is_new and earlier is not None and (column.key, host.host_id) not in earlier.hits
        return Cell(ScopeCellState.HITS, hits, is_new)
    return Cell(silent_state(host, column))


def silent_state(host: ScopeHost, column: ScopeColumn) -> str:
    """What it means that a host has no hits of an indicator."""
    if column.state in _STATES:
        return _STATES[ScopeColumnState(column.state)]
    if column.needs and set(column.needs) <= set(host.reports):
        return ScopeCellState.NO_HITS
    return ScopeCellState.NO_TELEMETRY


def silences(run: ScopeRun, columns: Sequence[ScopeColumn]) -> dict[int, tuple[int, int]]:
    """By column: how many hosts are silent although they report, and how many do not report at all."""
    reports = list(run.hosts.values_list("reports", flat=True))
    found = {}
    for column in columns:
        able = sum(bool(column.needs) and set(column.needs) <= set(one) for one in reports)
        found[column.pk] = (able, len(reports) - able)
    return found


def needs_words(column: ScopeColumn) -> str:
    """`connection`, `DNS and file`: the telemetry that makes a silence mean something."""
    return " and ".join(report_word(name) for name in column.needs) or "some"


def column_title(column: ScopeColumn, silence: tuple[int, int]) -> str:
    """What a column's heading tells on hover: who could have answered."""
    able, unable = silence
    told = f"{able:,} hosts send {needs_words(column)} telemetry, {unable:,} do not."
    return f"{column.reason} {told}".strip()


# -- a later search against an earlier one


@dataclass(frozen=True, slots=True)
class _Earlier:
    keys: frozenset[str]
    hits: frozenset[tuple[str, str]]


def before(run: ScopeRun) -> ScopeRun | None:
    """The search with a result before this one."""
    earlier = ScopeRun.objects.filter(case=run.case_id, number__lt=run.number).finished()
    return earlier.order_by("-number").first()


def _earlier(run: ScopeRun, hosts: Sequence[ScopeHost]) -> _Earlier | None:
    other = before(run)
    if other is None:
        return None
    ids = [host.host_id for host in hosts]
    cells = ScopeCell.objects.filter(column__run=other, host__host_id__in=ids)
    return _Earlier(_keys(other), frozenset(cells.values_list("column__key", "host__host_id")))


def _keys(run: ScopeRun) -> frozenset[str]:
    """The indicators that were searched to an end."""
    return frozenset(run.columns.filter(state=ScopeColumnState.DONE).values_list("key", flat=True))


def difference(run: ScopeRun) -> Difference | None:
    """What changed since the search before; None where there was none, or this one has no result yet."""
    other = before(run)
    if other is None or run.is_under_way:
        return None
    both = _keys(run) & _keys(other)
    now, then = _hits(run), _hits(other)
    new = [text for key, text in now.items() if key not in then and key[0] in both]
    gone = [text for key, text in then.items() if key not in now and key[0] in both]
    known = {host_id for _key, host_id in then}
    hosts = dict.fromkeys(text[0] for key, text in now.items() if key[1] not in known)
    return Difference(
        other, tuple(hosts), tuple(new[:_MOST_TOLD]), tuple(gone[:_MOST_TOLD]), len(new), len(gone)
    )


def _hits(run: ScopeRun) -> dict[tuple[str, str], tuple[str, str]]:
    """Indicator and host of each hit, with the words for both."""
    cells = ScopeCell.objects.filter(column__run=run).order_by("host", "column__position")
    names = ("column__key", "host__host_id", "host__host_name", "column__field", "column__value")
    return {
        (key, host_id): (name or host_id, f"{field} {value}")
        for key, host_id, name, field, value in cells.values_list(*names)
    }


# -- to take away


def exported(run: ScopeRun) -> Iterator[tuple[Any, ...]]:
    """A row for each host and indicator, after the names of the columns `EXPORTED`."""
    columns = list(run.columns.order_by("position"))
    for host in hosts_of(run).iterator(chunk_size=500):
        found = {cell.column_id: cell for cell in host.cells.all() if host.columns_hit}
        for column in columns:
            hit = found.get(column.pk)
            state = ScopeCellState.HITS if hit else silent_state(host, column)
            yield (
                host.host_name,
                host.host_id,
                column.field,
                column.value,
                str(state),
                hit.events if hit else "",
                hit.first_at.isoformat() if hit else "",
                hit.last_at.isoformat() if hit else "",
            )


EXPORTED = ("host.name", "host.id", "field", "value", "state", "events", "first seen", "last seen")


def summary(case: Case, run: ScopeRun) -> str:
    """'2 of 14 hosts that report have indicators of the case', for the report."""
    hit = run.hosts.filter(columns_hit__gt=0)
    others = hit.exclude(host_id=case.host_id).count() if case.host_id else hit.count()
    noun = "host" if others == 1 else "hosts"
    return (
        f"{others:,} other {noun} of {run.hosts_reporting:,} that report had indicators of the case between "
        f"{run.window_start:%Y-%m-%d %H:%M} and {run.window_end:%Y-%m-%d %H:%M} UTC."
    )
