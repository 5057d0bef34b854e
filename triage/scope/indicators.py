"""Which indicators of a case can be looked for on other hosts. Values come from its evidence, never typed."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from detections import ecs
from detections.ecs import Document
from detections.enums import TelemetryKind
from detections.journal import canonical_json
from detections.stores.base import Clause, Filters, Operator
from detections.telemetry_kinds import KIND_FILTERS
from triage.enums import ObservableType, PivotOrigin
from triage.evidence import kind_word
from triage.guide_versions import guide_of
from triage.guides import Blocked, fill
from triage.models import Case, Evidence, Observable
from triage.pivot_search import first_documents, query_data

# What is proposed of one sort, and what a search takes.
MOST_OF_A_SORT = 10
MOST = 40
_DOCUMENTS = 300
HASH = "hash.sha256"
_SHARE, _PIPE = "share", "pipe"
_SHARE_CODES, _PIPE_CODES = ("5140", "5145"), ("17", "18")
_SYSMON = Clause("event.provider", values=("Microsoft-Windows-Sysmon",))
_CODES, _PARENT = "event.code", "process.parent.entity_id"
_K = TelemetryKind
# What tells that a host sends something: its telemetry kinds, and two sorts that no kind covers.
REPORTS = {
    **{kind.value: filters for kind, filters in KIND_FILTERS.items() if kind is not _K.ALERT},
    _SHARE: Filters(((Clause(_CODES, Operator.IS_ONE_OF, _SHARE_CODES),),)),
    _PIPE: Filters(((Clause(_CODES, Operator.IS_ONE_OF, _PIPE_CODES), _SYSMON),)),
}
_NONE = Filters(())
_WORDS = {_SHARE: "share access", _PIPE: "named pipe"}


@dataclass(frozen=True, slots=True)
class Indicator:
    """Something to look for. key: the same for the same thing at any time. needs: keys of REPORTS.

    is_usual: chosen unless somebody says otherwise. blocked: why it can't be asked, or "".
    """

    key: str
    field: str
    value: str
    filters: Filters = _NONE
    needs: tuple[str, ...] = ()
    is_usual: bool = True
    blocked: str = ""

    @property
    def is_hash(self) -> bool:
        return self.field == HASH


def report_word(name: str) -> str:
    """What a host reports, as it stands inside of a sentence: "DNS", "share access"."""
    return _WORDS.get(name) or kind_word(name)


def offered(case: Case) -> list[Indicator]:
    """Every indicator of the case, in the order of the guide: sources, names, destinations, command lines,
    hashes, files, ways of delivery, then what the guide's overlay asks. Reads the database alone."""
    held = list(Observable.objects.filter(case=case).order_by("-event_count", "pk"))
    own = set(case.pivots.filter(origin=PivotOrigin.OWN).values_list("pk", flat=True))
    sources = _sources(case, held)
    documents = _documents(case)
    found = [
        *_limited(_of_sources(sources)),
        *_limited(_of_names(held)),
        *_limited(_of_destinations(held, sources)),
        *_limited(_of_command_lines(case, documents)),
        *_limited(_of_hashes(held)),
        *_limited(_of_files(documents)),
        *_limited(_of_delivery(case, sources, documents)),
        *_of_guide(case),
    ]
    aside = {(one.type, one.spelling) for one in held if _is_aside(one, own)}
    return [_usual(one, aside) for one in {one.key: one for one in found}.values()][:MOST]


def _is_aside(one: Observable, own: set[int]) -> bool:
    """Whether only what people asked in their own words holds a value: all that a host did, perhaps."""
    return bool(one.sources) and all(source["pivot"] in own for source in one.sources)


def _usual(one: Indicator, aside: set[tuple[str, str]]) -> Indicator:
    """The indicator, chosen unless its value comes from aside."""
    is_aside = any((sort, one.value) in aside for sort in ObservableType.values)
    return replace(one, is_usual=one.is_usual and not is_aside)


def needed(indicator: Indicator) -> str:
    """`connection and DNS`: what a host must send for its silence to mean something."""
    return " and ".join(report_word(name) for name in indicator.needs)


def query_of(indicator: Indicator) -> list[object]:
    return query_data(indicator.filters)


def filters_of(query: Sequence[Sequence[dict[str, object]]]) -> Filters:
    """The filters of a column, as `query_of` kept them."""
    return Filters(
        tuple(
            tuple(
                Clause(
                    str(clause["field"]),
                    Operator(clause["operator"]),
                    tuple(clause["values"]),  # type: ignore[arg-type]
                    excluded=bool(clause["excluded"]),
                )
                for clause in group
            )
            for group in query
        )
    )


def _limited(found: Iterable[Indicator]) -> list[Indicator]:
    return list(found)[:MOST_OF_A_SORT]


def _key(sort: str, *values: object) -> str:
    return f"{sort}:{hashlib.sha256(canonical_json(values).encode()).hexdigest()[:32]}"


def _any(value: str, *fields: str) -> Filters:
    return Filters(tuple((Clause(name, values=(value,)),) for name in fields))


# -- addresses and names


def _fields(one: Observable) -> set[str]:
    return {source["field"] for source in one.sources}


def _sources(case: Case, held: Sequence[Observable]) -> list[str]:
    """The other sides that came here: the case's own first, then what logons and connections name."""
    came = [
        one.spelling
        for one in held
        if one.type == ObservableType.IP and "own address" not in one.marks and "source.ip" in _fields(one)
    ]
    return list(dict.fromkeys([*([case.remote_ip] if case.remote_ip else []), *came]))


def _of_sources(sources: Sequence[str]) -> Iterator[Indicator]:
    for address in sources:
        yield Indicator(
            _key("source", address),
            "source.ip",
            address,
            # Sensors differ in which end of a connection they call the source.
            _any(address, "source.ip", "destination.ip"),
            (_K.CONNECTION.value,),
        )


def _of_names(held: Sequence[Observable]) -> Iterator[Indicator]:
    for one in held:
        if one.type == ObservableType.DOMAIN and "dns.question.name" in _fields(one):
            filters = _any(one.spelling, "dns.question.name", "destination.domain", "url.domain")
            key = _key("name", one.value)
            yield Indicator(key, "dns.question.name", one.spelling, filters, (_K.DNS.value,))


def _of_destinations(held: Sequence[Observable], sources: Sequence[str]) -> Iterator[Indicator]:
    wanted = {"destination.ip", "dns.resolved_ip", "remote.ip"}
    for one in held:
        is_other = one.type == ObservableType.IP and "own address" not in one.marks
        if is_other and one.spelling not in sources and wanted & _fields(one):
            yield Indicator(
                _key("destination", one.value),
                "destination.ip",
                one.spelling,
                _any(one.spelling, "destination.ip", "dns.resolved_ip"),
                (_K.CONNECTION.value,),
                is_usual="public" in one.marks,
            )


# -- command lines, hashes, files


def _documents(case: Case) -> list[Document]:
    """Frozen starts of processes and file events, earliest first, but for those that people asked aside."""
    rows = Evidence.objects.filter(pivot__case=case, pivot__is_after_closing=False)
    rows = rows.exclude(pivot__origin=PivotOrigin.OWN)
    starts = rows.filter(summary__is_start=True, summary__kind=_K.PROCESS.value)
    files = rows.filter(summary__kind=_K.FILE.value)
    found = [
        row
        for part in (starts, files)
        for row in part.order_by("event_at", "pk").values_list("identity", "document")[:_DOCUMENTS]
    ]
    return list(dict(found).values())


def _of_command_lines(case: Case, documents: Sequence[Document]) -> Iterator[Indicator]:
    """The pattern of the alert's process, program and arguments wherever it lies; then what it started."""
    for document in first_documents(case):
        if line := ecs.text(document, "process.command_line"):
            yield _pattern(document, line)
    own = {ecs.text(document, "process.entity_id") for document in first_documents(case)} - {""}
    for document in documents:
        line, parent = ecs.text(document, "process.command_line"), ecs.text(document, _PARENT)
        if line and parent in own and not ecs.text(document, "file.path"):
            filters = _any(line, "process.command_line")
            key = _key("command", line)
            yield Indicator(key, "process.command_line", line, filters, (_K.PROCESS.value,))


def _pattern(document: Document, line: str) -> Indicator:
    name = ecs.text(document, "process.name")
    arguments = [str(one) for one in ecs.values(document, "process.args")][1:]
    exact = (Clause("process.command_line", values=(line,)),)
    if not name or not arguments:
        return Indicator(
            _key("command", line), "process.command_line", line, Filters((exact,)), (_K.PROCESS.value,)
        )
    parts = tuple(Clause("process.args", values=(one,)) for one in dict.fromkeys(arguments))
    similar = (Clause("process.name", values=(name,)), *parts)
    return Indicator(
        _key("pattern", name, arguments),
        "process.command_line",
        " ".join([name, *arguments]),
        Filters((exact, similar)),
        (_K.PROCESS.value,),
    )


def _of_hashes(held: Sequence[Observable]) -> Iterator[Indicator]:
    """SHA-256 of programs, libraries and files; what a trusted signer signed is on every host."""
    hashes = [one for one in held if one.type == ObservableType.HASH and "SHA-256" in one.marks]
    rows = Evidence.objects.in_bulk([one.evidence[0] for one in hashes if one.evidence])
    found = [(_is_trusted(one, rows), one) for one in hashes]
    for trusted, one in sorted(found, key=lambda pair: pair[0]):
        fields = ("process.hash.sha256", "dll.hash.sha256", "file.hash.sha256")
        needs = _hash_needs(_fields(one))
        key = _key("hash", one.value)
        yield Indicator(key, HASH, one.value, _any(one.value, *fields), needs, not trusted)


def _hash_needs(fields: set[str]) -> tuple[str, ...]:
    for prefix, kind in (("process", _K.PROCESS), ("dll", _K.LIBRARY), ("file", _K.FILE)):
        if any(name.startswith(prefix) for name in fields):
            return (kind.value,)
    return (_K.PROCESS.value,)


def _is_trusted(one: Observable, rows: dict[int, Evidence]) -> bool:
    row = rows.get(one.evidence[0]) if one.evidence else None
    prefixes = {name.removesuffix(".hash.sha256") for name in _fields(one)}
    return row is not None and any(
        ecs.get(row.document, f"{prefix}.code_signature.trusted") is True for prefix in prefixes
    )


def _of_files(documents: Sequence[Document]) -> Iterator[Indicator]:
    """Files that were written, by their name: another user's folder is another path."""
    for document in documents:
        name = ecs.text(document, "file.name")
        gone = "deletion" in ecs.values(document, "event.type")
        if name and not gone and not _is_pipe(document):
            filters = _any(name, "file.name", "dll.name", "process.name")
            yield Indicator(_key("file", name), "file.name", name, filters, (_K.FILE.value,))


def _is_pipe(document: Document) -> bool:
    return any(str(code) in _PIPE_CODES for code in ecs.values(document, _CODES))


# -- ways of delivery


def _of_delivery(case: Case, sources: Sequence[str], documents: Sequence[Document]) -> Iterator[Indicator]:
    """Files put there over SMB by a source, and named pipes, where telemetry has either."""
    for address in sources[:3]:
        from_here = Clause("source.ip", values=(address,))
        smb = Filters(((from_here, Clause("destination.port", values=(445,))),))
        yield Indicator(_key("smb", address), "SMB from", address, smb, (_K.CONNECTION.value,))
        share = Filters(((from_here, Clause(_CODES, Operator.IS_ONE_OF, _SHARE_CODES)),))
        yield Indicator(_key("share", address), "share access from", address, share, (_SHARE,))
    pipes = dict.fromkeys(ecs.text(one, "file.name") for one in documents if _is_pipe(one))
    is_pipe = Clause(_CODES, Operator.IS_ONE_OF, _PIPE_CODES)
    for pipe in filter(None, pipes):
        named = Filters(((is_pipe, _SYSMON, Clause("file.name", values=(pipe,))),))
        yield Indicator(_key("pipe", pipe), "named pipe", pipe, named, (_PIPE,))
    name = next(filter(None, (ecs.text(one, "process.name") for one in first_documents(case))), "")
    if name and not any(pipes):
        opened = Filters(((is_pipe, _SYSMON, Clause("process.name", values=(name,))),))
        yield Indicator(_key("pipes_of", name), "named pipes of", name, opened, (_PIPE,))


def _of_guide(case: Case) -> Iterator[Indicator]:
    """What the guide's overlay asks besides, with values from the alert in place."""
    events = first_documents(case)
    for pivot in guide_of(case).scoping:
        found = fill(pivot, events)
        needs = tuple(kind.value for kind in pivot.kinds if kind.value in REPORTS)
        if isinstance(found, Blocked):
            why = f"{found.field}: {found.reason}"
            yield Indicator(f"guide:{pivot.key}", "from the guide", pivot.label, needs=needs, blocked=why)
        else:
            yield Indicator(f"guide:{pivot.key}", "from the guide", pivot.label, found, needs)
