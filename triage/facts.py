"""What is known of a case, for the facts panel. Every value is data from telemetry, shown as it is."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from django.db.models import Min, Q, QuerySet
from django.utils.dateparse import parse_datetime

from detections import ecs
from detections.actors import Actor
from detections.ecs import Document
from detections.enums import TimeBasis
from detections.ingest.remote import remote_side
from detections.models import Alert
from triage import observables
from triage.checks import is_alert
from triage.evidence import coverage_of, kind_word, latest_runs, missing_sentence
from triage.models import Asset, Case, CaseLink, EventSummary, PivotRun
from triage.pivot_search import first_documents
from triage.techniques import Technique, techniques_of

MOST_RELATED = 10
MOST_VALUES = 20
MOST_ANSWERS = 2000
# An event that comes later than this was not simply on its way.
LATE = timedelta(minutes=5)
_WANTED = ("host.id", "host.name", "process.entity_id", "user.name")


@dataclass(frozen=True, slots=True)
class HeadFacts:
    """What the queue shows of an alert."""

    remote_ip: str
    user: str
    process: str


@dataclass(frozen=True, slots=True)
class HostFacts:
    """is_derived: the id is the computer's name, since the record had none."""

    name: str
    id: str
    addresses: tuple[str, ...]
    system: str
    is_derived: bool
    asset: Asset | None


@dataclass(frozen=True, slots=True)
class UserFacts:
    name: str
    id: str
    logon_type: str
    package: str
    session: str


@dataclass(frozen=True, slots=True)
class ProcessFacts:
    name: str
    executable: str
    command_line: str
    pid: str
    entity_id: str
    sha256: str
    signer: str
    parent: str
    parent_pid: str
    parent_command_line: str


@dataclass(frozen=True, slots=True)
class RemoteFacts:
    """The other side of the alert's connection, whichever end the sensor calls the source."""

    ip: str
    port: str
    asset: Asset | None


@dataclass(frozen=True, slots=True)
class Reached:
    """An address that the host connected out to, and the names that resolved to it."""

    ip: str
    port: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class KindCoverage:
    """Telemetry of one kind from the case's host. present None: no pivot has looked yet."""

    kind: str
    word: str
    present: bool | None
    last_seen: datetime | None
    sentence: str


@dataclass(frozen=True, slots=True)
class Facts:
    """notes: sentences about time and identity that an analyst must know before reading the rest."""

    host: HostFacts
    user: UserFacts
    process: ProcessFacts
    remote: RemoteFacts | None
    reached: tuple[Reached, ...]
    dns_names: tuple[str, ...]
    techniques: tuple[Technique, ...]
    notes: tuple[str, ...]
    time_basis_note: str
    missing_fields: tuple[str, ...]
    related: tuple[Case, ...]
    coverage: tuple[KindCoverage, ...]


def telling_values(facts: Facts) -> list[tuple[str, str, str]]:
    """The facts whose rarity says something: what they are, field and value."""
    found = [
        ("Source", "source.ip", facts.remote.ip if facts.remote else ""),
        *(("Reached", "destination.ip", target.ip) for target in facts.reached[:2]),
        *(("Looked up", "dns.question.name", name) for name in facts.dns_names[:1]),
        ("Signer", "process.code_signature.subject_name", facts.process.signer),
        ("Program", "process.hash.sha256", facts.process.sha256),
    ]
    return [(what, field, value) for what, field, value in found if value]


def head_facts(alert: Alert) -> HeadFacts:
    """What a new case takes over into its row."""
    return head_of(_documents(alert))


def head_of(documents: Sequence[Document]) -> HeadFacts:
    """The same of events that are no alert's."""
    remote = _remote(documents)
    process = _process(documents)
    shown = process.command_line or process.executable or process.name
    return HeadFacts(remote[0] if remote else "", _user(documents).name, shown)


def case_facts(case: Case, *, actor: Actor, runs: Sequence[PivotRun] | None = None) -> Facts:
    """Everything that the panel shows. Reads the database alone, never the store.

    runs: those that count, where a page has read them already.
    """
    alert = first_alert(case)
    documents = _documents(alert) if alert else first_documents(case)
    runs = latest_runs(case) if runs is None else runs
    remote = _remote(documents)
    assets = _assets(case, remote[0] if remote else "")
    reached, names = _reached(case, runs)
    return Facts(
        host=_host(case, documents, assets),
        user=_user(documents),
        process=_process(documents),
        remote=RemoteFacts(*remote, _asset(assets, address=remote[0])) if remote else None,
        reached=reached,
        dns_names=names,
        techniques=techniques_of(case),
        notes=tuple(_notes(alert, documents)) if alert else (),
        time_basis_note=_basis_note(case, documents),
        missing_fields=tuple(_missing(documents)),
        related=_related(case, actor),
        coverage=_coverage(case, runs),
    )


def first_alert(case: Case) -> Alert | None:
    """The alert that opened the case."""
    found = case.occurrences.select_related("alert").order_by("pk").first()
    return found.alert if found else None


def _documents(alert: Alert) -> list[Document]:
    return [event["document"] for event in alert.events]


# -- host, user, process


def _assets(case: Case, remote_ip: str) -> list[Asset]:
    wanted = Q()
    for column, value in (("host_id", case.host_id), ("host_name__iexact", case.host_name)):
        if value:
            wanted |= Q(**{column: value})
    if remote_ip:
        # A list of addresses can't be asked for alike on every database; hosts of record are few.
        wanted |= ~Q(addresses=[])
    return list(Asset.objects.filter(wanted)) if wanted else []


def _asset(assets: Iterable[Asset], *, address: str = "", case: Case | None = None) -> Asset | None:
    for asset in assets:
        if address and address in asset.addresses:
            return asset
        if case and ((asset.host_id and asset.host_id == case.host_id) or _same_name(asset, case)):
            return asset
    return None


def _same_name(asset: Asset, case: Case) -> bool:
    return bool(asset.host_name) and asset.host_name.lower() == case.host_name.lower()


def _host(case: Case, documents: Sequence[Document], assets: Sequence[Asset]) -> HostFacts:
    addresses = [str(value) for document in documents for value in ecs.values(document, "host.ip")]
    return HostFacts(
        name=case.host_name or _first(documents, "host.name"),
        id=case.host_id,
        addresses=tuple(dict.fromkeys(ip for ip in addresses if ip not in ("127.0.0.1", "::1"))),
        system=_first(documents, "host.os.full") or _first(documents, "host.os.name"),
        is_derived=_is_derived(documents),
        asset=_asset(assets, case=case),
    )


def _is_derived(documents: Sequence[Document]) -> bool:
    return any("host.id" in ecs.values(document, "casewright.derived") for document in documents)


def _user(documents: Sequence[Document]) -> UserFacts:
    name, domain = _first(documents, "user.name"), _first(documents, "user.domain")
    return UserFacts(
        name=f"{domain}\\{name}" if domain and name else name,
        id=_first(documents, "user.id"),
        logon_type=_first(documents, "process.Ext.session_info.logon_type", "winlog.logon.type"),
        package=_first(
            documents,
            "process.Ext.session_info.authentication_package",
            "winlog.event_data.AuthenticationPackageName",
        ),
        session=_first(documents, "process.Ext.authentication_id", "winlog.event_data.LogonId"),
    )


def _process(documents: Sequence[Document]) -> ProcessFacts:
    parent = _first(documents, "process.parent.executable", "process.parent.name")
    return ProcessFacts(
        name=_first(documents, "process.name"),
        executable=_first(documents, "process.executable"),
        command_line=_first(documents, "process.command_line"),
        pid=_first(documents, "process.pid"),
        entity_id=_first(documents, "process.entity_id"),
        sha256=_first(documents, "process.hash.sha256"),
        signer=_first(documents, "process.code_signature.subject_name"),
        parent=parent,
        parent_pid=_first(documents, "process.parent.pid"),
        parent_command_line=_first(documents, "process.parent.command_line"),
    )


def _first(documents: Sequence[Document], *fields: str) -> str:
    """The first value of the first field that any of the events has."""
    for field in fields:
        for document in documents:
            if text := ecs.text(document, field):
                return text
    return ""


# -- the other side, and what was reached


def _remote(documents: Sequence[Document]) -> tuple[str, str] | None:
    """Address and port of the other side of the alert's first connection."""
    found = remote_side(documents)
    return (found.ip, str(found.port or "")) if found else None


def _reached(case: Case, runs: Sequence[PivotRun]) -> tuple[tuple[Reached, ...], tuple[str, ...]]:
    """Outbound destinations of the host with the names that led there, and all names that were asked for.

    From the summaries of what the alert and the network and DNS pivots froze, earliest first.
    """
    observables.collect(case)  # another search of the case may still be under way
    wanted = [run.pk for run in runs if is_alert(run) or {"connection", "dns"} & set(run.kinds)]
    seen = EventSummary.objects.filter(case=case, pivot__in=wanted).order_by()
    found = _earliest(seen, "remote")
    names: dict[str, dict[str, None]] = {}
    if found:
        answers = seen.exclude(dns_name="").values_list("dns_name", "resolved").distinct()
        for name, addresses in answers[:MOST_ANSWERS]:
            for address in addresses:
                names.setdefault(address, {})[name] = None
    ends = [end.rpartition(" ") for end in found]
    reached = (Reached(ip, port, tuple(names.get(ip, ()))) for ip, _space, port in ends)
    return tuple(reached), tuple(_earliest(seen, "dns_name"))


def _earliest(seen: "QuerySet[EventSummary]", column: str) -> list[str]:
    """The first values of a column that are not empty, each once."""
    filled = seen.exclude(**{column: ""}).values(column).annotate(first=Min("event_at"))
    return [row[column] for row in filled.order_by("first", column)[:MOST_VALUES]]


# -- rule, time, relations


def _basis_note(case: Case, documents: Sequence[Document]) -> str:
    """In plain words, why a clock-repaired match is shown and what is wrong with its times; else ""."""
    if case.time_basis != TimeBasis.CLOCK_REPAIRED:
        return ""
    note = (
        "Clock repaired: by their own clock (@timestamp) the events stand in the wrong order, and the rule "
        "finds nothing. In the order in which they were recorded (event.created) they match."
    )
    moments = [parse_datetime(ecs.text(document, "@timestamp")) for document in documents]
    for number, (one, other) in enumerate(pairwise(moments), start=1):
        if one and other and other < one:
            gap = (one - other).total_seconds()
            note += (
                f" Event {number + 1} claims to be {gap:.3f} s earlier than event {number}; "
                "the clock is wrong, not the activity."
            )
    return note


def _notes(alert: Alert, documents: Sequence[Document]) -> Iterable[str]:
    if _is_derived(documents):
        yield "host.id is derived from the computer's name: the record carries none."
    late = alert.late_seconds
    if late is not None and late > LATE.total_seconds():
        yield f"The telemetry arrived {span(late)} after the events took place."
    elif late is not None and late < 0:
        yield f"The host's clock ran {span(-late)} ahead of this system's when the events arrived."
    if alert.superseded_at is not None:
        yield (
            "Telemetry that came later supersedes this match: another event takes the place of one of its "
            "events. What matches now is an alert of its own."
        )


def span(seconds: float) -> str:
    """A length of time in the unit that fits it."""
    for unit, length in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.1f} seconds"


def _missing(documents: Sequence[Document]) -> Iterable[str]:
    for number, document in enumerate(documents, start=1):
        lacking = [field for field in _WANTED if not ecs.text(document, field)]
        if lacking:
            yield f"Event {number} of the alert has no {', '.join(lacking)}."


def _related(case: Case, actor: Actor) -> tuple[Case, ...]:
    """Cases on the same host or with the same remote side, newest first; and those linked."""
    ours, theirs = CaseLink.objects.filter(source=case), CaseLink.objects.filter(target=case)
    # Subqueries, not joins: these leave the indexes of both other columns usable, and no row comes twice.
    same = Q(pk__in=ours.values("target")) | Q(pk__in=theirs.values("source"))
    if case.host_id:
        same |= Q(host_id=case.host_id)
    if case.remote_ip:
        same |= Q(remote_ip=case.remote_ip)
    cases = Case.objects.visible_to(actor).filter(same).exclude(pk=case.pk)
    return tuple(cases.order_by("-last_event_at", "-pk")[:MOST_RELATED])


def _coverage(case: Case, runs: Sequence[PivotRun]) -> tuple[KindCoverage, ...]:
    """Each kind that a pivot of the case reads."""
    kinds = dict.fromkeys(
        kind for run in runs for kind in [*run.kinds, *(entry["kind"] for entry in run.coverage)]
    )
    return tuple(_kind(case, runs, kind) for kind in kinds)


def _kind(case: Case, runs: Sequence[PivotRun], kind: str) -> KindCoverage:
    entry = coverage_of(runs, kind)
    word = kind_word(kind)
    if entry is None:
        return KindCoverage(kind, word, None, None, f"{word} telemetry: not looked for yet")
    seen = parse_datetime(entry["last_seen"]) if entry["last_seen"] else None
    if entry["present"]:
        return KindCoverage(kind, word, True, seen, f"{word} telemetry: reporting")
    return KindCoverage(kind, word, False, seen, missing_sentence(entry, case.host_name or case.host_id))
