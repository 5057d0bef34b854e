"""Which typed values a document holds, each in one spelling. No database here."""

import ipaddress
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from detections import ecs
from detections.ecs import Document
from detections.ingest.remote import remote_side
from triage.enums import ObservableType as T

MOST_LENGTH = 4096
_EMPTY_HASHES = frozenset(
    (
        "d41d8cd98f00b204e9800998ecf8427e",
        "da39a3ee5e6b4b0d3255bfef95601890afd80709",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    )
)
# What an organisation uses inside. Python also calls documentation ranges private; nobody's network is one.
_PRIVATE = tuple(
    ipaddress.ip_network(network)
    for network in (
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "100.64.0.0/10",
        "169.254.0.0/16",
        "fc00::/7",
        "fe80::/10",
    )
)
_ALGORITHMS = {32: "MD5", 40: "SHA-1", 64: "SHA-256"}
_HASHED = ("process", "process.parent", "file", "dll")
_IP_FIELDS = ("source.ip", "destination.ip", "dns.resolved_ip", "client.ip", "server.ip")
_DOMAIN_FIELDS = ("dns.question.name", "destination.domain", "source.domain", "url.domain")
_URL_FIELDS = (
    "url.full",
    "url.original",
    "file.origin_url",
    "file.origin_referrer_url",
    "http.request.referrer",
)
_USER_PREFIXES = ("user", "user.target", "user.effective")
_SYSTEM_SIDS = frozenset(("S-1-5-18", "S-1-5-19", "S-1-5-20", "S-1-5-7"))
_SYSTEM_NAMES = frozenset(
    ("system", "local service", "network service", "anonymous logon", "localsystem", "iusr")
)
_SESSION_SERVICE = re.compile(r"(dwm|umfd)-\d+$")
_URL = re.compile(r"\b(?:https?|ftp)://[^\s\"'<>|^`]{3,2000}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Found:
    """A value in a document. spelling: as telemetry has it. marks: what can be told of it at sight."""

    type: T
    value: str
    spelling: str
    field: str
    marks: tuple[str, ...] = ()


def values_of(document: Document) -> list[Found]:
    """Every value, once each, of the first field that has it. Loopback, unspecified and multicast addresses,
    hashes of nothing, and reverse look-ups are left out."""
    kept: dict[tuple[T, str], Found] = {}
    for found in _all(document):
        kept.setdefault((found.type, found.value), found)
    return list(kept.values())


def _all(document: Document) -> Iterator[Found]:
    side = remote_side(document)
    if side is not None:
        yield from _ip(side.ip, "remote.ip")
    for field in _IP_FIELDS:
        for text in _texts(document, field):
            yield from _ip(text, field)
    for text in _texts(document, "host.ip"):
        yield from _ip(text, "host.ip", "own address")
    for field in _DOMAIN_FIELDS:
        for text in _texts(document, field):
            yield from _domain(text, field)
    yield from _hashes(document)
    yield from _users(document)
    yield from _host(document)
    yield from _processes(document)
    yield from _urls(document)


def _texts(document: Document, field: str) -> Iterable[str]:
    return (str(value).strip() for value in ecs.values(document, field))


def _ip(text: str, field: str, *marks: str) -> Iterator[Found]:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    if address.is_loopback or address.is_unspecified or address.is_multicast:
        return
    if str(address) == "255.255.255.255":
        return
    reach = "private" if any(address in network for network in _PRIVATE) else "public"
    yield Found(T.IP, str(address), text, field, (reach, *marks))


def _domain(text: str, field: str) -> Iterator[Found]:
    value = text.lower().rstrip(".")
    is_address = re.fullmatch(r"[\d.]+|.*:.*", value) is not None
    if not value or is_address or value.endswith(".arpa") or " " in value:
        return
    if "." not in value and field != "dns.question.name":
        return
    yield Found(T.DOMAIN, value, text, field)


def _hashes(document: Document) -> Iterator[Found]:
    for prefix in _HASHED:
        for name in ("sha256", "sha1", "md5"):
            for text in _texts(document, f"{prefix}.hash.{name}"):
                yield from _hash(text, f"{prefix}.hash.{name}")
        for field in (f"{prefix}.pe.imphash", f"{prefix}.hash.imphash"):
            for text in _texts(document, field):
                yield from _hash(text, field, "imphash")


def _hash(text: str, field: str, algorithm: str = "") -> Iterator[Found]:
    value = text.lower()
    name = _ALGORITHMS.get(len(value))
    if name is None or not re.fullmatch("[0-9a-f]+", value) or not value.strip("0") or value in _EMPTY_HASHES:
        return
    yield Found(T.HASH, value, text, field, (algorithm or name,))


def _users(document: Document) -> Iterator[Found]:
    for prefix in _USER_PREFIXES:
        name, domain = ecs.text(document, f"{prefix}.name"), ecs.text(document, f"{prefix}.domain")
        sid = ecs.text(document, f"{prefix}.id")
        known = ("system account",) if _is_system(name, sid) else ()
        if name.strip("-"):
            spelling = f"{domain}\\{name}" if domain.strip("-") else name
            machine = ("machine account",) if name.endswith("$") else ()
            yield Found(T.USER, spelling.lower(), spelling, f"{prefix}.name", known + machine)
        if sid.startswith("S-1-") and sid != "S-1-0-0":
            yield Found(T.USER, sid, sid, f"{prefix}.id", ("SID", *known))


def _is_system(name: str, sid: str) -> bool:
    lowered = name.lower()
    return sid in _SYSTEM_SIDS or lowered in _SYSTEM_NAMES or bool(_SESSION_SERVICE.match(lowered))


def _host(document: Document) -> Iterator[Found]:
    text = ecs.text(document, "host.name") or ecs.text(document, "host.id")
    if text:
        yield Found(T.HOST, text.lower(), text, "host.name")


def _processes(document: Document) -> Iterator[Found]:
    for prefix in ("process", "process.parent"):
        for field in (f"{prefix}.executable", f"{prefix}.name"):
            if text := ecs.text(document, field):
                yield Found(T.PROCESS, text.lower(), text, field)
                break


def _urls(document: Document) -> Iterator[Found]:
    for field in _URL_FIELDS:
        for text in _texts(document, field):
            yield from _url(text, field)
    for line in _texts(document, "process.command_line"):
        for match in _URL.finditer(line):
            yield from _url(match[0].rstrip(".,;)]}"), "process.command_line")


def _url(text: str, field: str) -> Iterator[Found]:
    """The URL, and the domain or address that it names."""
    try:
        parts = urlsplit(text)
        host = parts.hostname or ""
    except ValueError:
        return
    if not parts.scheme or not host:
        return
    rest = text.partition("://")[2]
    tail = rest[len(parts.netloc) :]
    yield Found(T.URL, f"{parts.scheme.lower()}://{parts.netloc.lower()}{tail}", text, field)
    yield from _ip(host, field)
    yield from _domain(host, field)


def defanged(kind: str, value: str) -> str:
    """The value so that nothing opens it by a click or a paste: `hxxp://203[.]0[.]113[.]57/a.hta`."""
    if kind == T.URL:
        scheme, _, rest = value.partition("://")
        netloc, slash, tail = rest.partition("/")
        return f"{scheme.replace('t', 'x')}://{_dotless(netloc)}{slash}{tail}"
    return _dotless(value) if kind in (T.IP, T.DOMAIN) else value


def _dotless(text: str) -> str:
    return text.replace(".", "[.]").replace(":", "[:]")
