"""How selective an entry is: of how much it alone holds, as far as the database can tell at once."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from django.db.models import Count

from detections.actors import Actor
from detections.models import Alert, Rule
from triage.enums import ExceptionOperator, ExceptionQuantity, ExceptionScope
from triage.exception_items.content import REMOTE_IP, Content, Entry
from triage.exception_items.evaluation import Subject, subject_of, value_test
from triage.exception_items.guardrails import MOST_SEEN, SEEN_FOR
from triage.exception_items.matching import Clause, active_lists, compiled_content, holds_of_alert
from triage.models import Case, EventSummary

HOST_ID = "host.id"
_O, _S = ExceptionOperator, ExceptionScope
_EXACT = (_O.IS, _O.IS_ONE_OF)


@dataclass(frozen=True, slots=True)
class Recent:
    """One of the rule's newest alerts as entries see it, with its host's name."""

    subject: Subject
    host_name: str


@dataclass(frozen=True, slots=True)
class Alone:
    """What one entry alone holds of. alerts: of the `looked_at` newest of the rule, on so many hosts; None
    where that is not for the alert's own events to say. cases: in whose frozen evidence it is; None if that
    can't be told."""

    alerts: int | None = None
    hosts: int = 0
    looked_at: int = 0
    cases: int | None = None


@dataclass(frozen=True, slots=True)
class Host:
    """A host that shows the same workflow. is_own: the case's; is_taken: the entries name it already."""

    host_id: str
    name: str
    alerts: int
    is_own: bool = False
    is_taken: bool = False


def recent_alerts(rule: Rule, *, actor: Actor, now: datetime) -> list[Recent]:
    """The rule's newest alerts of the last weeks that the actor may see. One query."""
    rows = Alert.objects.visible_to(actor).filter(rule=rule, detected_at__gte=now - SEEN_FOR)
    return [Recent(subject_of(alert), alert.host_name) for alert in rows.order_by("-pk")[:MOST_SEEN]]


def alone(entries: Sequence[Entry], recent: Sequence[Recent], *, actor: Actor) -> list[Alone]:
    """For each entry, what it alone holds of. A fixed number of queries."""
    clauses = _clauses(entries)
    frozen = _frozen(entries, actor)
    return [
        _in_evidence(entry, frozen) if entry.is_recovered else _in_alerts(clause, recent)
        for entry, clause in zip(entries, clauses, strict=True)
    ]


def _clauses(entries: Sequence[Entry]) -> list[Clause | None]:
    """None for an entry whose value list is not in force: nothing can be said of it."""
    lists = active_lists() if any(entry.value_list for entry in entries) else {}
    found: list[Clause | None] = []
    for entry in entries:
        try:
            found.append(Clause(entry, value_test(entry, lists)))
        except ValueError:
            found.append(None)
    return found


def _in_alerts(clause: Clause | None, recent: Sequence[Recent]) -> Alone:
    if clause is None:
        return Alone()
    held = [one.subject for one in recent if _holds(clause, one.subject)]
    return Alone(len(held), len({subject.host_id for subject in held}), len(recent))


def _holds(clause: Clause, subject: Subject) -> bool:
    positions = subject.positions(clause.entry.scope)
    return any(clause.holds_of(subject.values(number, clause.entry.field)) for number in positions)


# -- recovered evidence: what the cases froze


def _frozen(entries: Sequence[Entry], actor: Actor) -> Mapping[str, int]:
    """How many cases froze a lookup of each name that the entries speak of."""
    names = {value for entry in entries if _is_lookup(entry) for value in entry.values}
    if not names:
        return {}
    found = EventSummary.objects.filter(dns_name__in=names, case__in=Case.objects.visible_to(actor))
    counted = found.order_by().values_list("dns_name").annotate(how_many=Count("case", distinct=True))
    return dict(counted)


def _is_lookup(entry: Entry) -> bool:
    is_exact = entry.operator in _EXACT and entry.quantity is ExceptionQuantity.SOME
    return is_exact and entry.scope is _S.DNS and entry.field == "dns.question.name"


def _in_evidence(entry: Entry, frozen: Mapping[str, int]) -> Alone:
    if not _is_lookup(entry):
        return Alone()
    return Alone(cases=max((frozen.get(value, 0) for value in entry.values), default=0))


# -- the same workflow on other hosts


def hosts_of(content: Content, recent: Iterable[Recent], *, own: str = "") -> list[Host]:
    """Hosts whose alerts satisfy every entry about the alert's own events but that on the host, the case's
    own first, then those with the most alerts. Empty while the entries say nothing else of the alert."""
    kept = tuple(one for one in content.entries if not one.is_recovered and one.field != HOST_ID)
    if not kept:
        return []
    try:
        item = compiled_content(replace(content, entries=kept))
    except ValueError:
        return []
    counts: Counter[str] = Counter()
    names: dict[str, str] = {}
    for one in recent:
        if one.subject.host_id and holds_of_alert(item, one.subject):
            counts[one.subject.host_id] += 1
            names[one.subject.host_id] = one.host_name
    named = [one for one in content.entries if one.field == HOST_ID and not one.negated]
    taken = {value for one in named for value in one.values}
    found = [Host(key, names[key], number, key == own, key in taken) for key, number in counts.items()]
    return sorted(found, key=lambda host: (not host.is_own, -host.alerts, host.name, host.host_id))


def stored_field(entry: Entry) -> str:
    """The field under which the event store has what an entry names, "" if it names none. `remote.ip` is
    derived: it is asked for at the end where the other side of an inbound, or outbound, connection stands."""
    if entry.field != REMOTE_IP:
        return entry.field
    return "destination.ip" if entry.is_recovered else "source.ip"
