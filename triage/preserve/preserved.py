"""What the guide wants preserved of a case, and what became of each: kept, found absent, or not to be had."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from detections import ecs
from detections.ecs import Document
from detections.enums import TelemetryKind
from detections.ingest.remote import remote_side
from triage.checks import is_alert
from triage.enums import PivotState
from triage.evidence import shown_runs
from triage.models import Case, PivotRun, ScopeRun
from triage.own_queries import FilterRow
from triage.pivot_search import first_documents

NEIGHBOURHOOD = timedelta(minutes=5)
KEPT, ABSENT, LACKING, WAITING = "kept", "absent", "lacking", "waiting"
_PROCESS_FIELDS = ("process.executable", "process.command_line", "process.hash.sha256", "process.pid")
_ENTITY, _HOST = "process.entity_id", "host.id"
_K = TelemetryKind
_ENDED = (PivotState.HITS, PivotState.NO_HITS, PivotState.PARTIAL)
_WAITS = (PivotState.NOT_RUN, PivotState.RUNNING)


@dataclass(frozen=True, slots=True)
class Kept:
    """One thing that the guide names. state: kept, absent (looked for, and not there), lacking (could not be
    preserved; text says why), waiting (a pivot still runs)."""

    key: str
    label: str
    state: str
    text: str

    def data(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Missing:
    """A search that nobody made. rows: the filters that make up for it."""

    key: str
    label: str
    rows: tuple[FilterRow, ...]


@dataclass(frozen=True, slots=True)
class _Item:
    """kinds: the telemetry that holds it. by: the event field that ties it to the alert's process."""

    key: str
    label: str
    kinds: tuple[TelemetryKind, ...]
    by: str = _ENTITY


_ITEMS = (
    _Item("dns", "DNS lookups", (_K.DNS,)),
    _Item("connections", "Connections and destinations", (_K.CONNECTION,)),
    _Item("artefacts", "Files that it wrote", (_K.FILE,)),
    _Item("children", "Processes that it started", (_K.PROCESS,), "process.parent.entity_id"),
    _Item("libraries", "Libraries that it loaded", (_K.LIBRARY,)),
    _Item("sessions", "The logon session", (_K.LOGON,), "user.name"),
)
_CATEGORIES = {
    _K.DNS: "network",
    _K.CONNECTION: "network",
    _K.FILE: "file",
    _K.PROCESS: "process",
    _K.LIBRARY: "library",
    _K.LOGON: "authentication",
}
NEIGHBOURS = "preserve-neighbours"


def of_case(case: Case) -> list[Kept]:
    """The guide's list for a case as it stands. Reads the database alone."""
    runs = shown_runs(case)
    documents = first_documents(case)
    return [
        _source_events(runs),
        _neighbours(case, runs),
        _identity(documents),
        _remote(case, documents),
        *(_by_kind(item, runs) for item in _ITEMS),
        _scope(case),
    ]


def missing(case: Case) -> list[Missing]:
    """What no pivot of the case has looked for, and how to look for it. What can't be asked is left out."""
    runs = shown_runs(case)
    documents = first_documents(case)
    if not case.host_id:
        return []
    host = FilterRow(_HOST, "is", case.host_id)
    found = []
    if not _neighbour_runs(runs):
        found.append(Missing(NEIGHBOURS, "Everything around the alert on its host", (host,)))
    for item in _ITEMS:
        # A process's parent is told by the same id; the alert's own events have none of what it started.
        name = _ENTITY if item.by.endswith("entity_id") else item.by
        value = next(filter(None, (ecs.text(one, name) for one in documents)), "")
        if value and not _of_kinds(item, runs):
            category = FilterRow("event.category", "is", _CATEGORIES[item.kinds[0]])
            rows = (host, category, FilterRow(item.by, "is", value))
            found.append(Missing(f"preserve-{item.key}", item.label, rows))
    return found


def _source_events(runs: Sequence[PivotRun]) -> Kept:
    kept = sum(run.kept for run in runs if is_alert(run))
    if kept:
        return Kept("source_events", "Source events", KEPT, f"{_rows(kept)} of the alert, frozen with it")
    return Kept("source_events", "Source events", LACKING, "The case has no alert whose events were frozen.")


def _neighbours(case: Case, runs: Sequence[PivotRun]) -> Kept:
    label = "Their neighbours on the host"
    found = _neighbour_runs(runs)
    if not found:
        why = (
            "Nobody has searched the minutes around the alert." if case.host_id else "No host.id to ask for."
        )
        return Kept("neighbours", label, LACKING, why)
    return _told("neighbours", label, found)


def _neighbour_runs(runs: Sequence[PivotRun]) -> list[PivotRun]:
    """Runs that read everything of the host around the alert: their one filter is its host."""
    return [run for run in runs if run.asked.get("rows") and _only_host(run)]


def _only_host(run: PivotRun) -> bool:
    rows = run.asked["rows"]
    return len(rows) == 1 and rows[0]["field"] == _HOST and not run.key.startswith("scope-")


def _identity(documents: Sequence[Document]) -> Kept:
    label = "Process identity and command line"
    lacking = [name for name in _PROCESS_FIELDS if not any(ecs.text(one, name) for one in documents)]
    if len(lacking) == len(_PROCESS_FIELDS):
        return Kept("identity", label, LACKING, "The alert's events name no process.")
    if lacking:
        return Kept("identity", label, KEPT, f"in the source events, without {', '.join(lacking)}")
    return Kept("identity", label, KEPT, "in the source events: path, command line, hash and id")


def _remote(case: Case, documents: Sequence[Document]) -> Kept:
    label = "Remote side and ports"
    side = remote_side(documents)
    if side is None:
        why = "The alert's events name no other side of a connection."
        return Kept("remote", label, LACKING, why)
    ports = [
        str(port)
        for one in documents
        for name in ("source.port", "destination.port")
        if (port := ecs.get(one, name)) is not None
    ]
    told = f"{side.ip}, ports {' and '.join(dict.fromkeys(ports))}" if ports else f"{side.ip}, without ports"
    return Kept("remote", label, KEPT, told)


def _by_kind(item: _Item, runs: Sequence[PivotRun]) -> Kept:
    found = _of_kinds(item, runs)
    if not found:
        return Kept(item.key, item.label, LACKING, "No pivot of the case looks for it.")
    return _told(item.key, item.label, found)


def _of_kinds(item: _Item, runs: Sequence[PivotRun]) -> list[PivotRun]:
    wanted = {kind.value for kind in item.kinds}
    return [run for run in runs if wanted & set(run.kinds) and not is_alert(run)]


def _told(key: str, label: str, runs: Sequence[PivotRun]) -> Kept:
    """One line over several runs: the best of them counts, and what lacks is said."""
    held = [run for run in runs if run.kept]
    ended = [run for run in runs if run.state in _ENDED]
    waiting = [run for run in runs if run.state in _WAITS]
    others = [run for run in runs if run.state not in (*_ENDED, *_WAITS)]
    lacks = "; ".join(f'"{run.label}": {run.reason}' for run in others)
    if waiting:
        return Kept(key, label, WAITING, f"{_pivots(len(waiting))} still to run.")
    if held:
        text = f"{_rows(sum(run.kept for run in held))} of {_pivots(len(held))}"
        cut = sum(run.total - run.kept for run in held if run.total > run.kept)
        text += f"; {cut:,} more were counted and not copied" if cut else ""
        return Kept(key, label, KEPT, f"{text}. Not to be had: {lacks}" if lacks else text)
    if ended:
        return Kept(key, label, ABSENT, f"looked for, and not there. {lacks}".strip())
    return Kept(key, label, LACKING, lacks or "No pivot of the case has a result.")


def _scope(case: Case) -> Kept:
    run = ScopeRun.objects.filter(case=case).finished().order_by("-number").first()
    if run is None:
        return Kept("scope", "Other hosts", LACKING, "Nobody has searched the other hosts yet.")
    told = f"search {run.number} of {run.asked_at:%Y-%m-%d %H:%M} UTC over {run.hosts_reporting:,} hosts"
    return Kept("scope", "Other hosts", KEPT, f"{told}. {run.reason}".strip())


def _rows(count: int) -> str:
    return f"{count:,} {'event' if count == 1 else 'events'}"


def _pivots(count: int) -> str:
    return f"{count} {'pivot' if count == 1 else 'pivots'}"
