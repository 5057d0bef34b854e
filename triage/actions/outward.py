"""Requests to other systems, only to what the operator listed: resolved once, checked, and pinned.

`CASEWRIGHT_ALLOWED_TARGETS` lists `host:port`. A name must resolve to public addresses only, unless its entry
ends in `@network`; an address that is private needs its own entry. Plain http needs `http://` in the entry.
No redirect is followed, no proxy is used, and a whole answer has one time limit.
"""

import http.client
import ipaddress
import re
import socket
import ssl
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from django.conf import settings
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError
from urllib3.response import BaseHTTPResponse

from triage.errors import TriageError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

MOST_BYTES = 1024 * 1024
_PART = 65536
CONNECT_SECONDS = 5.0
_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>/[!\"$-\[\]-~]*)?"
)
_ENTRY = re.compile(
    r"(?P<plain>http://)?(?P<host>[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]):(?P<port>[0-9]{1,5})"
    r"(?:@(?P<network>[0-9A-Fa-f:./]{3,50}))?"
)
_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")
# Addresses that carry an IPv4 address inside: what they reach can't be told from the outside.
_CARRIERS = tuple(
    ipaddress.ip_network(network)
    for network in ("::ffff:0:0/96", "::/96", "2002::/16", "2001::/32", "64:ff9b::/96")
)


class OutwardError(TriageError):
    """A request that brought no answer. The message says what happened and what to do."""


class RefusedTargetError(OutwardError):
    """Nothing was connected: the target is not one that the operator listed."""


class NotReachedError(OutwardError):
    """Nothing was sent: no connection, or none that can be trusted. may_pass: it is worth another try."""

    def __init__(self, message: str, *, may_pass: bool = True) -> None:
        self.may_pass = may_pass
        super().__init__(message)


class NoAnswerError(OutwardError):
    """It was sent, and no whole answer came: it may have been done."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, whatever its status."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a URL leads. host: a lower-case name, or an address in its one spelling."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        shown = f"[{self.host}]" if ":" in self.host else self.host
        usual = 443 if self.scheme == "https" else 80
        return shown if self.port == usual else f"{shown}:{self.port}"


def target_of(url: str) -> Target:
    """The parts of a URL in its plainest form. Raises RefusedTargetError for any other form."""
    found = _URL.fullmatch(url)
    if found is None:
        raise RefusedTargetError(
            "The address is not of the form https://host:port/path: no user, fragment, blank or backslash."
        )
    port = int(found["port"] or (443 if found["scheme"] == "https" else 80))
    if not 0 < port < 65536:
        raise RefusedTargetError(f"There is no port {port}.")
    return Target(found["scheme"], _host(found["host"]), port, found["path"] or "/")


def _host(text: str) -> str:
    """A DNS name, or an address as the standard writes it; numbers in other bases are no names."""
    if text.startswith("["):
        return str(_address(text[1:-1]))
    labels = text.lower().split(".")
    if re.fullmatch(r"[0-9.]+", text):
        return str(_address(text))
    is_name = all(_LABEL.fullmatch(label) for label in labels)
    if not is_name or re.fullmatch(r"[0-9]+|0x[0-9a-f]*", labels[-1]):
        raise RefusedTargetError(f"{text} is neither a host name nor an address.")
    return text.lower()


def _address(text: str) -> Address:
    try:
        return ipaddress.ip_address(text)
    except ValueError as error:
        raise RefusedTargetError(f"{text} is no address in its usual form.") from error


def _entry(target: Target) -> re.Match[str]:
    for text in settings.ALLOWED_TARGETS:
        found = _ENTRY.fullmatch(text.strip())
        if found and _host(found["host"]) == target.host and int(found["port"]) == target.port:
            if target.scheme == "http" and not found["plain"]:
                raise RefusedTargetError(f"{target.authority} is listed for https alone.")
            return found
    raise RefusedTargetError(
        f"{target.host}:{target.port} is not listed. Add it to CASEWRIGHT_ALLOWED_TARGETS, then start again."
    )


def resolve(host: str, port: int) -> list[str]:
    """The addresses of a name, asked for once."""
    return list(
        dict.fromkeys(str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    )


def addresses(target: Target) -> list[str]:
    """Where a request may connect to. Raises RefusedTargetError, NotReachedError. Nothing is connected."""
    entry = _entry(target)
    try:
        literal = ipaddress.ip_address(target.host)
    except ValueError:
        literal = None
    if literal is not None:
        _check([literal], ipaddress.ip_network(literal), target)
        return [str(literal)]
    try:
        found = [ipaddress.ip_address(text) for text in resolve(target.host, target.port)]
    except (OSError, ValueError, UnicodeError) as error:
        raise NotReachedError(f"The name {target.host} could not be resolved ({error}).") from error
    if not found:
        raise NotReachedError(f"The name {target.host} has no address.")
    _check(found, _network(entry["network"]), target)
    return [str(address) for address in found]


def _network(text: str | None) -> Network | None:
    if not text:
        return None
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise RefusedTargetError(f"CASEWRIGHT_ALLOWED_TARGETS names {text}, which is no network.") from error


def _check(found: Iterable[Address], within: Network | None, target: Target) -> None:
    """Every address has to be allowed: one bad one among them is enough to refuse."""
    for address in found:
        if within is not None and address.version == within.version and address in within:
            if address.is_multicast or address.is_unspecified:
                raise RefusedTargetError(f"{target.host} is {address}, which nothing may connect to.")
            continue
        if not _is_public(address):
            raise RefusedTargetError(
                f"{target.host} is {address}, which is not public. If that is meant, list it as "
                f"{target.host}:{target.port}@{address}."
            )
        if within is not None:
            raise RefusedTargetError(f"{target.host} is {address}, outside of the network {within}.")


def _is_public(address: Address) -> bool:
    inner = any(address in network for network in _CARRIERS if network.version == address.version)
    return address.is_global and not address.is_multicast and not inner


def send(
    method: str,
    url: str,
    *,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    seconds: float = 30.0,
    ca_file: str = "",
    most_bytes: int = MOST_BYTES,
) -> Answer:
    """One request, one answer. seconds: for the whole of it. Raises OutwardError."""
    target = target_of(url)
    address = addresses(target)[0]
    connection = _connection(target, address, seconds, ca_file)
    try:
        _connect(connection, target)
        with _cut_off(connection, seconds):
            return _exchange(connection, target, method, body, dict(headers or {}), most_bytes, seconds)
    finally:
        connection.close()


def _connection(target: Target, address: str, seconds: float, ca_file: str) -> HTTPConnection:
    timeout = min(seconds, CONNECT_SECONDS)
    if target.scheme == "http":
        return HTTPConnection(address, target.port, timeout=timeout)
    try:
        context = ssl.create_default_context(cafile=ca_file or None)
    except OSError as error:
        raise NotReachedError(
            f"The authority's file {ca_file} can't be read ({error}).", may_pass=False
        ) from error
    return HTTPSConnection(
        address,
        target.port,
        timeout=timeout,
        ssl_context=context,
        server_hostname=target.host,
    )


def _connect(connection: HTTPConnection, target: Target) -> None:
    where = f"{target.host}:{target.port}"
    try:
        connection.connect()
    except ssl.SSLCertVerificationError as error:
        raise NotReachedError(
            f"The certificate of {where} is not trusted ({error.verify_message}). Nothing was sent.",
            may_pass=False,
        ) from error
    except ssl.SSLError as error:
        raise NotReachedError(
            f"{where} makes no TLS connection ({error.reason}). Nothing was sent."
        ) from error
    except (OSError, HTTPError) as error:
        raise NotReachedError(f"{where} could not be reached ({_short(error)}). Nothing was sent.") from error


def _exchange(
    connection: HTTPConnection,
    target: Target,
    method: str,
    body: bytes,
    headers: dict[str, str],
    most_bytes: int,
    seconds: float,
) -> Answer:
    where = f"{target.host}:{target.port}"
    try:
        if connection.sock is not None:
            connection.sock.settimeout(seconds)
        connection.request(
            method,
            target.path,
            body=body or None,
            headers={"Host": target.authority, **headers},
            preload_content=False,
        )
        response = connection.getresponse()
        content = _read(response, most_bytes)
    except (OSError, HTTPError, http.client.HTTPException) as error:
        raise NoAnswerError(
            f"{where} gave no whole answer within {seconds:g} s ({_short(error)}). It may have been done."
        ) from error
    if len(content) > most_bytes:
        raise NoAnswerError(f"The answer of {where} is larger than {most_bytes:,} bytes.")
    return Answer(response.status, {name.lower(): value for name, value in response.headers.items()}, content)


def _read(response: BaseHTTPResponse, most_bytes: int) -> bytes:
    """The body to its end: the last, empty read notices one that was broken off."""
    content = b""
    while len(content) <= most_bytes and (part := response.read(_PART, decode_content=False)):
        content += part
    return content


@contextmanager
def _cut_off(connection: HTTPConnection, seconds: float) -> Iterator[None]:
    """A target that sends a byte now and then must not keep a worker: the whole has a limit."""

    def cut() -> None:
        try:
            if connection.sock is not None:
                connection.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            return

    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _short(error: BaseException) -> str:
    text = str(error.__cause__ or error) or type(error).__name__
    return re.sub(r"<[^<>]*>:?\s*", "", text)[:200]
