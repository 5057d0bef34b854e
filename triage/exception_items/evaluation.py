"""One entry over the values of a field, and an alert as entries see it."""

import ipaddress
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from detections import ecs
from detections.ecs import Document
from detections.enums import AlertOrigin, TelemetryKind, TimeBasis
from detections.eql.patterns import wildcard_matcher
from detections.ingest.moments import TimeError, moment
from detections.ingest.remote import remote_side
from detections.models import Alert
from detections.telemetry_kinds import kind_of
from triage.enums import ExceptionOperator, ExceptionScope, ValueListType
from triage.exception_items.content import ELEMENTS, REMOTE_IP, Entry

Spell = Callable[[Any], str]
Test = Callable[[str], bool]
NEVER = datetime.min.replace(tzinfo=UTC)
_ADDRESS_FIELDS = frozenset({REMOTE_IP, "dns.resolved_ip"})
_DOMAIN_FIELDS = frozenset({"dns.question.name", "dns.answers.name", "dns.question.registered_domain"})
_NETWORK_KINDS = (TelemetryKind.CONNECTION, TelemetryKind.DNS)
# Where the session of a process stands: Elastic Defend's name for it, and Windows' own.
SESSION_FIELDS = (
    "process.Ext.authentication_id",
    "winlog.event_data.LogonId",
    "winlog.event_data.TargetLogonId",
)


def is_address(name: str) -> bool:
    return name in _ADDRESS_FIELDS or name.endswith(".ip")


def is_domain(name: str) -> bool:
    return name in _DOMAIN_FIELDS or name.endswith(".domain")


def is_hash(name: str) -> bool:
    return ".hash." in name


def spelling(name: str) -> Spell:
    """How values of a field are written so that equal ones are the same text."""
    if is_address(name):
        return lambda value: address(str(value))
    if is_domain(name):
        return lambda value: domain(str(value))
    return (lambda value: text(value).lower()) if is_hash(name) else text


def text(value: Any) -> str:
    """A scalar as it is compared: true and false in lower case, whole numbers without a point."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def domain(value: str) -> str:
    return value.strip().lower().rstrip(".")


@lru_cache(maxsize=100_000)
def address(value: str) -> str:
    """One spelling for each address; what is none stays, in lower case."""
    parsed = _parsed(value)
    return str(parsed) if parsed else value.strip().lower()


@lru_cache(maxsize=100_000)
def _parsed(value: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        found = ipaddress.ip_address(value.strip())
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found


class Networks:
    """Many networks, asked for an address by their prefix lengths."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._by_length: dict[tuple[int, int], set[int]] = {}
        for each in texts:
            network = ipaddress.ip_network(each)
            shift = network.max_prefixlen - network.prefixlen
            key = (network.version, shift)
            self._by_length.setdefault(key, set()).add(int(network.network_address) >> shift)

    def hold(self, value: str) -> bool:
        found = _parsed(value)
        if found is None:
            return False
        number = int(found)
        return any(
            version == found.version and (number >> shift) in members
            for (version, shift), members in self._by_length.items()
        )


@dataclass(frozen=True, slots=True)
class ActiveList:
    """The active version of a value list. number: of the version. fault: why it can't be used, or ""."""

    name: str
    type: ValueListType
    number: int
    values: frozenset[str]
    fault: str = ""

    def test(self) -> Test:
        """Whether one value is on it. Raises ValueError for a list with a fault."""
        if self.fault:
            raise ValueError(self.fault)
        if self.type == ValueListType.CIDR:
            return Networks(self.values).hold
        return self.values.__contains__


def value_test(entry: Entry, lists: Mapping[str, ActiveList]) -> Test:
    """Whether one value, in its field's spelling, is what the entry names. `negated` plays no part.

    Raises ValueError for a list that has no active version.
    """
    spell = spelling(entry.field)
    match entry.operator:
        case ExceptionOperator.IS | ExceptionOperator.IS_ONE_OF:
            return frozenset(map(spell, entry.values)).__contains__
        case ExceptionOperator.MATCHES:
            return wildcard_matcher(spell(entry.values[0]), None)
        case ExceptionOperator.CIDR:
            return Networks(entry.values).hold
        case ExceptionOperator.IN_LIST:
            if entry.value_list not in lists:
                raise ValueError(f"The value list {entry.value_list!r} has no active version.")
            return lists[entry.value_list].test()
        case ExceptionOperator.NESTED:
            return _element_test(entry, lists)
    return lambda _value: True


def _element_test(entry: Entry, lists: Mapping[str, ActiveList]) -> Test:
    """Whether an element, as JSON, satisfies all inner entries; what it lacks satisfies none."""
    inner = [(one, replace(one, field=f"{entry.field}.{one.field}")) for one in entry.inner]
    tests = [(one, spelling(whole.field), value_test(whole, lists)) for one, whole in inner]

    def holds(element: Document, one: Entry, spell: Spell, test: Test) -> bool:
        values = [spell(value) for value in ecs.values(element, one.field)]
        if one.operator is ExceptionOperator.EXISTS:
            return bool(values) != one.negated
        return bool(values) and any(map(test, values)) != one.negated

    def all_hold(value: str) -> bool:
        element = json.loads(value)
        return all(holds(element, *each) for each in tests)

    return all_hold


@dataclass(slots=True, eq=False)
class Subject:
    """An alert as entries see it; values of its fields are looked up once.

    times: of its events on its time basis, None where one can't be told. host_id, entity_id: "" where the
    events name none, or several. sessions: ids of the logon session of its process. is_stored: its events
    came out of the event store, and so show that telemetry of their kinds is there.
    """

    alert_id: int
    rule_id: int | None
    documents: Sequence[Document]
    times: tuple[datetime, ...] | None
    detected_at: datetime
    first_event_at: datetime
    last_event_at: datetime
    host_id: str
    entity_id: str
    sessions: tuple[str, ...] = ()
    is_stored: bool = False
    _kinds: list[TelemetryKind | None] | None = None
    _values: dict[tuple[int, str], tuple[str, ...]] = field(default_factory=dict)
    _addresses: list[str] | None = None

    def positions(self, scope: ExceptionScope) -> list[int]:
        """Which of the alert's events an alert scope speaks of."""
        if scope == ExceptionScope.EVENT:
            return list(range(len(self.documents)))
        wanted = (TelemetryKind.PROCESS,) if scope == ExceptionScope.PROCESS else _NETWORK_KINDS
        return [number for number, kind in enumerate(self.kinds) if kind in wanted]

    @property
    def kinds(self) -> list[TelemetryKind | None]:
        """The kind of each event."""
        if self._kinds is None:
            self._kinds = [kind_of(document) for document in self.documents]
        return self._kinds

    def values(self, position: int, name: str) -> tuple[str, ...]:
        key = (position, name)
        if key not in self._values:
            self._values[key] = values_of(self.documents[position], name, self.own_addresses)
        return self._values[key]

    def all_values(self, name: str) -> set[str]:
        return {value for number in range(len(self.documents)) for value in self.values(number, name)}

    @property
    def own_addresses(self) -> list[str]:
        if self._addresses is None:
            self._addresses = [str(ip) for one in self.documents for ip in ecs.values(one, "host.ip")]
        return self._addresses


def values_of(document: Document, name: str, own_addresses: Sequence[str] = ()) -> tuple[str, ...]:
    """The values of a field of one event, `remote.ip` derived, each in the field's spelling."""
    if name == REMOTE_IP:
        side = remote_side(document, own_addresses)
        return (address(side.ip),) if side else ()
    if name.endswith(ELEMENTS):
        elements = ecs.objects(document, name.removesuffix(ELEMENTS))
        return tuple(json.dumps(element, default=str) for element in elements)
    spell = spelling(name)
    return tuple(spell(value) for value in ecs.values(document, name))


def subject_of(alert: Alert) -> Subject:
    """What entries see of a stored alert."""
    documents = [event["document"] for event in alert.events]
    return completed(bare_subject(alert.pk, alert.rule_id, documents), alert)


def bare_subject(alert_id: int, rule_id: int | None, documents: Sequence[Document]) -> Subject:
    """The events alone, for clauses about them; `completed` adds what time and recovery need."""
    return Subject(
        alert_id=alert_id,
        rule_id=rule_id,
        documents=documents,
        times=None,
        detected_at=NEVER,
        first_event_at=NEVER,
        last_event_at=NEVER,
        host_id="",
        entity_id="",
    )


def completed(subject: Subject, alert: Alert) -> Subject:
    """The same subject with everything that the alert says beside its events, which are not read again."""
    documents = subject.documents
    subject.times = _times(documents, alert.time_basis)
    subject.detected_at = alert.detected_at
    subject.first_event_at, subject.last_event_at = alert.first_event_at, alert.last_event_at
    subject.host_id = _only(documents, "host.id")
    subject.entity_id = _only(documents, "process.entity_id")
    subject.sessions = _sessions(documents)
    subject.is_stored = alert.origin == AlertOrigin.RUN
    return subject


def _times(documents: Sequence[Document], basis: str) -> tuple[datetime, ...] | None:
    name = "event.created" if basis == TimeBasis.CLOCK_REPAIRED else "@timestamp"
    try:
        return tuple(moment(ecs.text(document, name)) for document in documents) or None
    except TimeError:
        return None


def _only(documents: Sequence[Document], name: str) -> str:
    """The one value that the events name; "" for none or several."""
    found = {str(value) for document in documents for value in ecs.values(document, name)}
    return found.pop() if len(found) == 1 else ""


def _sessions(documents: Sequence[Document]) -> tuple[str, ...]:
    found = (text(v) for document in documents for name in SESSION_FIELDS for v in ecs.values(document, name))
    return tuple(dict.fromkeys(found))
