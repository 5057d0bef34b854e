"""The process tree of a case, from frozen evidence alone: the alert's process, those above it and below it.

A process that is only named, by a child, is *unseen*: it is drawn, and nothing is guessed about it.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, NamedTuple, cast

from django.db.models import CharField, Count, Max, QuerySet
from django.db.models.functions import Cast

from detections import ecs
from detections.ecs import Document
from detections.enums import TelemetryKind
from triage.checks import is_alert
from triage.models import Case, EventSummary, Evidence, PivotRun
from triage.timeline import moment_of

_K = TelemetryKind
COUNTED = (_K.CONNECTION, _K.DNS, _K.FILE, _K.LIBRARY, _K.REGISTRY)
MOST_ABOVE = 4
MOST_DEPTH = 4
MOST_CHILDREN = 6
# A tree larger than this is listed no further; it says so.
MOST_NODES = 400


class _Told(NamedTuple):
    """What the tree reads of a process event; named as the columns are. at: its time, as it is stored."""

    evidence: int
    at: str
    is_start: bool
    is_end: bool
    process_key: str
    process_name: str
    pid: str
    parent_key: str
    parent_name: str
    parent_pid: str


@dataclass(slots=True)
class Process:
    """One process. is_seen: its own start is in the evidence; otherwise only events name it, or a child.

    counts: its events by kind. row: the evidence row that tells most of it.
    """

    key: str
    name: str = ""
    pid: str = ""
    parent_key: str = ""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    is_seen: bool = False
    is_named_only: bool = True
    row: int | None = None
    counts: dict[str, int] = field(default_factory=dict)
    command_line: str = ""
    executable: str = ""
    user: str = ""
    children: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Node:
    """A process in the picture. hidden: how many children are folded away below. depth: 0 is the alert's."""

    process: Process
    depth: int
    hidden: int = 0
    is_alerts: bool = False


@dataclass(frozen=True, slots=True)
class ProcessTree:
    """above: parents, the farthest first. below: children in the order of a walk. folded_above: parents that
    are not drawn. others: processes of the evidence that hang on neither."""

    centre: Node
    above: tuple[Node, ...]
    below: tuple[Node, ...]
    folded_above: int
    folded_below: int
    others: int
    notes: tuple[str, ...]

    @property
    def nodes(self) -> list[Node]:
        return [*self.above, self.centre, *self.below]


def process_tree(
    case: Case, runs: Sequence[PivotRun], *, depth: int = MOST_DEPTH, width: int = MOST_CHILDREN
) -> ProcessTree | None:
    """The tree around the alert's process, or None where no event names one. Five queries."""
    rows = EventSummary.objects.filter(case=case, pivot__in=[run.pk for run in runs]).exclude(process_key="")
    processes, centre = _processes(rows, {run.pk for run in runs if is_alert(run)})
    if not centre:
        return None
    above, folded_above = _above(processes, centre)
    below: list[Node] = []
    _walk(processes, centre, depth, width, {centre, *(one.key for one in above)}, below)
    folded_below = _reach(processes, centre) - len(below)
    hidden = _hidden(processes, centre, below)
    nodes_above = tuple(
        Node(one, at - len(above), max(0, len(one.children) - 1)) for at, one in enumerate(above)
    )
    tree = ProcessTree(
        centre=Node(processes[centre], 0, hidden, is_alerts=True),
        above=nodes_above,
        below=tuple(below),
        folded_above=folded_above,
        folded_below=folded_below,
        others=0,
        notes=(),
    )
    _count(rows, tree.nodes)
    _describe(tree.nodes)
    notes = tuple(_notes(tree))
    drawn = len(tree.nodes) + folded_above + folded_below
    return replace(tree, notes=notes, others=max(0, len(processes) - drawn))


# -- reading


def _processes(rows: "QuerySet[EventSummary]", own: Collection[int]) -> tuple[dict[str, Process], str]:
    """Every process that an event names, with what process events say of it, and the key of the alert's."""
    found: dict[str, Process] = {}
    told = rows.filter(kind=_K.PROCESS).annotate(at=Cast("event_at", CharField()))
    for values in told.order_by("event_at", "evidence").values_list(*_Told._fields):
        _take(found, _Told(*values))
    for key in rows.order_by().values_list("process_key", flat=True).distinct():
        _of(found, key).is_named_only = False
    for one in list(found.values()):
        if one.parent_key in found and one.parent_key != one.key:
            found[one.parent_key].children.append(one.key)
    centre = rows.filter(pivot__in=own).order_by("event_at").values_list("process_key", flat=True)
    return found, centre.first() or ""


def _count(rows: "QuerySet[EventSummary]", nodes: Iterable[Node]) -> None:
    """Events by kind of those shown, and what other events call them."""
    shown = {node.process.key: node.process for node in nodes}
    names = {"name": Max("process_name"), "number": Max("pid"), "how_many": Count("identity", distinct=True)}
    grouped = rows.filter(process_key__in=list(shown)).order_by().values("process_key", "kind")
    for row in cast("list[dict[str, Any]]", grouped.annotate(**names)):
        one = shown[row["process_key"]]
        one.name, one.pid = one.name or row["name"], one.pid or row["number"]
        if row["kind"] in COUNTED:
            one.counts[row["kind"]] = row["how_many"]


def _take(found: dict[str, Process], summary: _Told) -> None:
    """What a process event says of its process, and of the parent that it names."""
    one = _of(found, summary.process_key)
    one.name, one.pid = summary.process_name or one.name, summary.pid or one.pid
    one.parent_key = one.parent_key or summary.parent_key
    if summary.is_start and not one.is_seen:
        one.is_seen, one.started_at, one.row = True, moment_of(summary.at), summary.evidence
    if summary.is_end:
        one.ended_at = moment_of(summary.at)
    one.row = one.row or summary.evidence
    if summary.parent_key:
        parent = _of(found, summary.parent_key)
        parent.name, parent.pid = parent.name or summary.parent_name, parent.pid or summary.parent_pid


def _of(found: dict[str, Process], key: str) -> Process:
    if key not in found:
        found[key] = Process(key)
    return found[key]


def _describe(nodes: Iterable[Node]) -> None:
    """Command line, program and account of those shown, from their documents."""
    shown = {node.process.row: node.process for node in nodes if node.process.row}
    for row, document in Evidence.objects.filter(pk__in=list(shown)).values_list("pk", "document"):
        one = shown[row]
        one.command_line = ecs.text(document, "process.command_line")
        one.executable = ecs.text(document, "process.executable")
        one.user = _account(document)


def _account(document: Document) -> str:
    name, domain = ecs.text(document, "user.name"), ecs.text(document, "user.domain")
    return f"{domain}\\{name}" if domain and name else name


# -- shape


def _above(processes: dict[str, Process], centre: str) -> tuple[list[Process], int]:
    """Parents from the farthest that is drawn to the nearest, and how many lie beyond. Loops end it."""
    chain: list[Process] = []
    seen = {centre}
    key = processes[centre].parent_key
    while key and key in processes and key not in seen:
        seen.add(key)
        chain.append(processes[key])
        key = processes[key].parent_key
    return chain[:MOST_ABOVE][::-1], max(0, len(chain) - MOST_ABOVE)


def _walk(
    processes: dict[str, Process], key: str, depth: int, width: int, seen: set[str], into: list[Node]
) -> None:
    """Children below a process, each before its own children; a picture of `depth` levels."""
    stack = [(child, 1) for child in reversed(processes[key].children[:width])]
    while stack and len(into) < MOST_NODES:
        child, level = stack.pop()
        if child in seen:
            continue
        seen.add(child)
        children = processes[child].children
        drawn = children[:width] if level < depth else []
        into.append(Node(processes[child], level, len(children) - len(drawn)))
        stack += [(one, level + 1) for one in reversed(drawn)]


def _hidden(processes: dict[str, Process], centre: str, below: Sequence[Node]) -> int:
    drawn = sum(node.depth == 1 for node in below)
    return len(processes[centre].children) - drawn


def _reach(processes: dict[str, Process], centre: str) -> int:
    """How many processes are below the centre, however deep."""
    seen = {centre}
    stack = list(processes[centre].children)
    while stack:
        key = stack.pop()
        if key not in seen:
            seen.add(key)
            stack += processes[key].children
    return len(seen) - 1


def _notes(tree: ProcessTree) -> Iterable[str]:
    """What was not seen, in sentences."""
    unseen = [node.process for node in tree.nodes if node.process.is_named_only]
    for one in unseen[:3]:
        yield (
            f"{one.name or one.key} is named as a parent, but no event of its own is frozen. "
            "It is drawn, not guessed."
        )
    started = [node for node in tree.nodes if not node.process.is_seen and not node.process.is_named_only]
    if started:
        names = ", ".join(dict.fromkeys(node.process.name for node in started[:3]))
        yield f"The start of {names} is not in the evidence; other events name it."
    if not tree.above:
        yield "No event says which process started the alert's."
    if not tree.below:
        yield "No child process is frozen."
