"""Which telemetry a search reads, told from its filters, and which one a condition over its hits needs."""

from detections.enums import TelemetryKind
from detections.eql.ast import Query, Stage, all_stages, condition_fields
from detections.stores.base import Clause, Filters, Operator

_K = TelemetryKind
_CATEGORIES = {
    "process": (_K.PROCESS,),
    "network": (_K.CONNECTION, _K.DNS),
    "dns": (_K.DNS,),
    "file": (_K.FILE,),
    "library": (_K.LIBRARY,),
    "registry": (_K.REGISTRY,),
    "authentication": (_K.LOGON,),
    "session": (_K.LOGON,),
}
# Windows Security and Sysmon event codes; what is not here speaks of no kind that coverage knows.
_CODES = {
    **dict.fromkeys(("4624", "4625", "4634", "4647", "4648", "4672", "4768", "4769", "4776"), (_K.LOGON,)),
    **dict.fromkeys(("4688", "4689", "1", "5"), (_K.PROCESS,)),
    **dict.fromkeys(("12", "13", "14", "4657"), (_K.REGISTRY,)),
    **dict.fromkeys(("11", "15", "23", "26"), (_K.FILE,)),
    "3": (_K.CONNECTION,),
    "7": (_K.LIBRARY,),
    "22": (_K.DNS,),
}
_PREFIXES = {
    "dns.": (_K.DNS,),
    "file.": (_K.FILE,),
    "dll.": (_K.LIBRARY,),
    "registry.": (_K.REGISTRY,),
    "destination.": (_K.CONNECTION,),
    "network.": (_K.CONNECTION,),
}


def kinds(filters: Filters) -> tuple[TelemetryKind, ...]:
    """The kinds of telemetry that the filters read, each once, in the enum's order.

    Empty if the filters don't tell (an event code of a log without a kind, say): then nothing can be said
    about missing telemetry.
    """
    found = {kind for group in filters.groups for kind in _of_group(group)}
    return tuple(kind for kind in TelemetryKind if kind in found)


def reads_alerts(filters: Filters) -> bool:
    return TelemetryKind.ALERT in kinds(filters)


def needed(when: Query) -> tuple[TelemetryKind, ...]:
    """The kinds without which a query's silence means nothing: what each of its stages reads, told by
    category and fields.

    A lookup and a connection are both `network`: its fields tell which is meant. Empty if neither category
    nor fields tell; then it needs whatever its pivot reads.
    """
    found = {kind for stage in all_stages(when) for kind in _of_stage(stage)}
    return tuple(kind for kind in TelemetryKind if kind in found)


def _of_stage(stage: Stage) -> set[TelemetryKind]:
    named = set(_CATEGORIES.get(stage.category, ()))
    fields = {kind for name in condition_fields(stage.condition) for kind in _of_field(name)}
    return (named & fields or named) if named else fields


def _of_group(group: tuple[Clause, ...]) -> tuple[TelemetryKind, ...]:
    """A group's kinds: alerts, else what its category says, narrowed by its fields; else its fields alone."""
    positive = [clause for clause in group if not clause.excluded]
    if "signal" in _literals(positive, "event.kind"):
        return (TelemetryKind.ALERT,)
    fields = [kind for clause in positive for kind in _of_field(clause.field)]
    named = [kind for value in _literals(positive, "event.category") for kind in _CATEGORIES.get(value, ())]
    narrowed = [kind for kind in named if kind in fields]
    if named:
        return tuple(narrowed or named)
    codes = [kind for value in _literals(positive, "event.code") for kind in _CODES.get(value, ())]
    return tuple(codes or fields)


def _literals(clauses: list[Clause], field: str) -> list[str]:
    wanted = (Operator.IS, Operator.IS_ONE_OF)
    return [
        str(value)
        for clause in clauses
        if clause.field == field and clause.operator in wanted
        for value in clause.values
    ]


def _of_field(field: str) -> tuple[TelemetryKind, ...]:
    return next((found for prefix, found in _PREFIXES.items() if field.startswith(prefix)), ())
