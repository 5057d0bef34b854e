"""Which kind of telemetry an event is, and the filters that find the events of a kind.

One table says both. An event is of the first kind, in the table's order, whose filters it satisfies: what a
document is most specific about comes first (a DNS answer is also `network`, an image load also `process`).
"""

from collections.abc import Iterable, Mapping
from itertools import product

from detections import ecs
from detections.ecs import Document
from detections.enums import TelemetryKind
from detections.stores.base import Clause, Filters, Operator

_K = TelemetryKind
_SYSMON, _SECURITY = "Microsoft-Windows-Sysmon", "Microsoft-Windows-Security-Auditing"


def _category(*names: str) -> tuple[Clause, ...]:
    return (Clause("event.category", Operator.IS_ONE_OF, names),)


def _code(provider: str, code: str) -> tuple[Clause, ...]:
    return (
        Clause("event.code", Operator.IS, (code,)),
        Clause("event.provider", Operator.IS, (provider,)),
    )


_OWN: tuple[tuple[TelemetryKind, tuple[tuple[Clause, ...], ...]], ...] = (
    (_K.ALERT, ((Clause("event.kind", Operator.IS_ONE_OF, ("signal", "alert")),),)),
    (_K.DNS, ((Clause("dns.question.name", Operator.EXISTS),), _code(_SYSMON, "22"))),
    (_K.REGISTRY, (_category("registry"),)),
    (_K.LIBRARY, (_category("library", "driver"), _code(_SYSMON, "7"))),
    (_K.LOGON, (_category("authentication", "session"), _code(_SECURITY, "4672"))),
    (_K.FILE, (_category("file"),)),
    (_K.CONNECTION, (_category("network"),)),
    (_K.PROCESS, (_category("process"),)),
)


def kind_of(document: Document) -> TelemetryKind | None:
    """The kind of an event, or None for one that speaks of none (a configuration change, say).

    Total: any document gives an answer, and `KIND_FILTERS[kind]` finds exactly the documents of that kind.
    """
    categories = set(_texts(document, "event.category"))
    code = _coded(document)
    if not {"signal", "alert"}.isdisjoint(_texts(document, "event.kind")):
        return _K.ALERT
    if code == (_SYSMON, "22") or ecs.get(document, "dns.question.name") is not None:
        return _K.DNS
    if "registry" in categories:
        return _K.REGISTRY
    if code == (_SYSMON, "7") or not categories.isdisjoint(("library", "driver")):
        return _K.LIBRARY
    if code == (_SECURITY, "4672") or not categories.isdisjoint(("authentication", "session")):
        return _K.LOGON
    plain = (("file", _K.FILE), ("network", _K.CONNECTION), ("process", _K.PROCESS))
    return next((kind for category, kind in plain if category in categories), None)


def _texts(document: Document, field: str) -> list[str]:
    return [str(value) for value in ecs.values(document, field)]


def _coded(document: Document) -> tuple[str, str] | None:
    """The provider and code of an event whose code tells its kind."""
    codes, providers = _texts(document, "event.code"), _texts(document, "event.provider")
    pairs = ((_SYSMON, "22"), (_SYSMON, "7"), (_SECURITY, "4672"))
    return next(
        ((provider, code) for provider, code in pairs if provider in providers and code in codes), None
    )


def _negated(clause: Clause) -> Clause:
    return Clause(clause.field, clause.operator, clause.values, excluded=not clause.excluded)


def _without(
    groups: Iterable[tuple[Clause, ...]], others: Iterable[tuple[Clause, ...]]
) -> tuple[tuple[Clause, ...], ...]:
    """The groups, less what any of the others takes: one clause of each other group fails."""
    others = tuple(others)
    return tuple(
        (*group, *(_negated(clause) for clause in failing))
        for group in groups
        for failing in product(*others)
    )


def _filters() -> Mapping[TelemetryKind, Filters]:
    found: dict[TelemetryKind, Filters] = {}
    earlier: tuple[tuple[Clause, ...], ...] = ()
    for kind, groups in _OWN:
        found[kind] = Filters(_without(groups, earlier))
        earlier += groups
    return found


KIND_FILTERS: Mapping[TelemetryKind, Filters] = _filters()
"""The filters of each kind. They exclude each other, so that counts of kinds add up."""
