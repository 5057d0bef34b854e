"""What an action may be done to: observables of the case, with what the action needs to know of them."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from detections import ecs
from detections.ecs import Document
from triage import observables
from triage.enums import ObservableType
from triage.errors import TriageError
from triage.models import Case, EventSummary, Evidence, Observable
from triage.response.kinds import KindSpec

T = ObservableType
MOST = 200
_LOOKED_AT = 20
_BLOCKED_FIRST = ("block_destination", "block_indicators")
_ACCOUNT_KINDS = ("disable_account", "reset_credentials")
_PATHS = (("file", "file.path"), ("dll", "dll.path"), ("process", "process.executable"))


@dataclass(frozen=True, slots=True)
class Target:
    """One thing that an action can be done to. token: names it in a form; it is looked up again from there.

    note: what tells it from others, for people. why_not: why this kind may not be done to it, "" if it may.
    """

    token: str
    type: str
    value: str
    observable: Observable | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    note: str = ""
    why_not: str = ""


def choices(case: Case, spec: KindSpec) -> list[Target]:
    """What an action of the kind may be done to, likeliest first; empty where it is for the whole case."""
    observables.collect(case)
    if not spec.targets:
        return []
    if spec.targets == (T.PROCESS,):
        return _processes(case)
    rows = Observable.objects.filter(case=case, type__in=[one.value for one in spec.targets])
    found = [_target(case, spec, row) for row in rows.order_by("-event_count", "pk")[:MOST]]
    return sorted(found, key=lambda target: (bool(target.why_not), _rank(case, spec, target)))


def chosen(case: Case, spec: KindSpec, token: str) -> Target:
    """The target that a token names, with the parameters that the evidence gives. Raises TriageError."""
    if not spec.targets:
        return Target("", "", "", None, _of_host(case, case.host_name))
    found = next((target for target in choices(case, spec) if target.token == token), None)
    if found is None:
        raise TriageError("Choose what it is done to: one of the observables of the case.")
    if found.why_not:
        raise TriageError(found.why_not)
    host = found.value if found.type == T.HOST else case.host_name
    return Target(
        found.token,
        found.type,
        found.value,
        found.observable,
        {**_of_host(case, host), **_of_target(found), **found.parameters},
        found.note,
    )


def _target(case: Case, spec: KindSpec, row: Observable) -> Target:
    value = row.value if row.type == T.HASH else row.spelling
    why = _why_not(case, spec, row)
    return Target(str(row.pk), row.type, value, row, {}, ", ".join(map(str, row.marks)), why)


def _why_not(case: Case, spec: KindSpec, row: Observable) -> str:
    if spec.key in _ACCOUNT_KINDS and "system account" in row.marks:
        return f"{row.spelling} is a system account, which nobody can disable."
    if spec.key in ("block_indicators",) and row.type == T.HOST:
        return f"{row.spelling} is a host of ours."
    return ""


def _rank(case: Case, spec: KindSpec, target: Target) -> tuple[int, str]:
    """The case's own host, account and remote side first; of what is blocked, what is public."""
    marks = target.observable.marks if target.observable else []
    if spec.key in _BLOCKED_FIRST:
        return (0 if "public" in marks else 1, target.value)
    is_main = target.value.lower() in {
        text.lower() for text in (case.host_name, case.host_id, case.remote_ip, case.user_name) if text
    }
    return (0 if is_main else 1 if "public" in marks else 2, target.value)


def _processes(case: Case) -> list[Target]:
    """Processes on the case's host by the ids that were recorded of them."""
    rows = EventSummary.objects.filter(case=case, is_start=True, host__in=(case.host_name, case.host_id))
    rows = rows.exclude(process_key="").select_related("evidence").order_by("event_at")
    known = {row.value: row for row in Observable.objects.filter(case=case, type=T.PROCESS)}
    found: dict[str, Target] = {}
    for row in rows[: MOST * 4]:
        document = row.evidence.document
        executable = ecs.text(document, "process.executable") or ecs.text(document, "process.name")
        observable = known.get(executable.lower())
        if observable is None or row.process_key in found:
            continue
        found[row.process_key] = Target(
            f"{observable.pk}:{row.process_key}",
            T.PROCESS,
            executable,
            observable,
            _ids(document),
            f"process id {row.pid or '?'}, started {row.event_at:%Y-%m-%d %H:%M:%S} UTC",
        )
    return list(found.values())[:MOST]


def _ids(document: Document) -> dict[str, Any]:
    ids = {
        "pid": ecs.text(document, "process.pid"),
        "entity_id": ecs.text(document, "process.entity_id"),
        "sha256": ecs.text(document, "process.hash.sha256"),
        "command_line": ecs.text(document, "process.command_line"),
        "started_at": ecs.text(document, "process.start") or ecs.text(document, "@timestamp"),
    }
    return {name: value for name, value in ids.items() if value}


def _of_host(case: Case, host: str) -> dict[str, Any]:
    """The host's id, and the id under which its endpoint agent can be addressed."""
    found: dict[str, Any] = {"host": host} if host else {}
    rows = EventSummary.objects.filter(case=case, host__iexact=host).select_related("evidence")
    for row in rows.order_by("-event_at")[:_LOOKED_AT]:
        document = row.evidence.document
        found.setdefault("host_id", ecs.text(document, "host.id"))
        if ecs.text(document, "agent.type") == "endpoint":
            agent = ecs.text(document, "elastic.agent.id") or ecs.text(document, "agent.id")
            return {**found, "agent_id": agent} if agent else found
    return found


def _of_target(target: Target) -> dict[str, Any]:
    if target.type != T.HASH or target.observable is None:
        return {}
    rows = Evidence.objects.filter(pk__in=target.observable.evidence[:_LOOKED_AT])
    return {"paths": _paths(target.value, rows)}


def _paths(digest: str, rows: Iterable[Evidence]) -> list[str]:
    """Where the file of a hash lay, by the evidence."""
    paths: list[str] = []
    for row in rows:
        for prefix, name in _PATHS:
            hashes = [ecs.text(row.document, f"{prefix}.hash.{sort}") for sort in ("sha256", "sha1", "md5")]
            path = ecs.text(row.document, name)
            if digest in [one.lower() for one in hashes] and path and path not in paths:
                paths.append(path)
    return paths
