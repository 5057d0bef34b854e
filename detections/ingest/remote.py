"""The other side of a connection.

`source` and `destination` don't tell: Sysmon's older versions write the local side first whatever the
direction, later ones the side that connected. So the ends are compared with what the host says of itself.
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from detections import ecs
from detections.ecs import Document

Side = Literal["source", "destination"]
_OTHER: dict[Side, Side] = {"source": "destination", "destination": "source"}
_INWARD = frozenset({"ingress", "incoming", "inbound"})
_OUTWARD = frozenset({"egress", "outgoing", "outbound"})


@dataclass(frozen=True, slots=True)
class Remote:
    """The end of a connection that is not the host.

    side: whether the document calls it source or destination. why: how that was told, in words. is_certain:
    False where only the direction speaks, so that an old Sysmon could have it the other way round.
    """

    ip: str
    port: int | None
    side: Side
    why: str
    is_certain: bool = True


def remote_side(
    documents: Document | Iterable[Document], host_addresses: Iterable[str] = ()
) -> Remote | None:
    """The remote side of the first connection among the documents, or None where it can't be told.

    All documents must be of one host; each of them may tell the host's addresses (`host.ip`, an end that
    bears the host's name). host_addresses: further addresses known to be the host's.
    """
    held = [documents] if isinstance(documents, dict) else list(documents)
    ended = [document for document in held if _has_end(document)]
    if not ended:
        return None
    own = {_plain(address) for address in host_addresses} | _own_addresses(held)
    found = (_remote_of(document, own) for document in ended)
    return next((remote for remote in found if remote is not None), None)


def _has_end(document: Document) -> bool:
    return bool(ecs.text(document, "source.ip") or ecs.text(document, "destination.ip"))


def _remote_of(document: Document, own: set[str]) -> Remote | None:
    direction = ecs.text(document, "network.direction").lower()
    local = _local_side(document, own)
    if local is not None:
        why = f"{local} is the host itself ({_reason(document, local)})"
        return _end(document, _OTHER[local], why, is_certain=True)
    if direction in _INWARD:
        return _end(document, "source", f"the connection is {direction}", is_certain=False)
    if direction in _OUTWARD:
        return _end(document, "destination", f"the connection is {direction}", is_certain=False)
    if not ecs.text(document, "destination.ip"):
        return _end(document, "source", "the event names no other address", is_certain=True)
    return None


def _local_side(document: Document, own: set[str]) -> Side | None:
    """The end that is the host; None if neither or both are, since then nothing is told."""
    local = [side for side in _OTHER if _is_own(document, side, own)]
    return local[0] if len(local) == 1 else None


def _is_own(document: Document, side: Side, own: set[str]) -> bool:
    return _plain(ecs.text(document, f"{side}.ip")) in own or _bears_name(document, side)


def _bears_name(document: Document, side: Side) -> bool:
    """Whether an end's domain is the host's name; a short name equals the full one it begins."""
    domain = ecs.text(document, f"{side}.domain").lower().rstrip(".")
    names = {name.lower() for field in ("host.name", "host.hostname") for name in _texts(document, field)}
    return bool(domain) and any(_same_host(domain, name) for name in names)


def _same_host(one: str, other: str) -> bool:
    short = "." not in one or "." not in other
    return one == other or (short and one.partition(".")[0] == other.partition(".")[0])


def _own_addresses(documents: list[Document]) -> set[str]:
    own: set[str] = set()
    for document in documents:
        own.update(_plain(address) for address in _texts(document, "host.ip"))
        own.update(
            _plain(ecs.text(document, f"{side}.ip"))
            for side in _OTHER
            if ecs.get(document, f"{side}.ip") and _is_a_lone_name(document, side)
        )
    return own - {""}


def _is_a_lone_name(document: Document, side: Side) -> bool:
    return _bears_name(document, side) and not _bears_name(document, _OTHER[side])


def _reason(document: Document, side: Side) -> str:
    if _bears_name(document, side):
        return f"{side}.domain is its name"
    return "its address is one of the host's"


def _end(document: Document, side: Side, why: str, *, is_certain: bool) -> Remote | None:
    ip = ecs.text(document, f"{side}.ip")
    port = ecs.get(document, f"{side}.port")
    if not ip:
        return None
    return Remote(ip, port if isinstance(port, int) else None, side, why, is_certain)


def _texts(document: Document, field: str) -> list[str]:
    return [str(value) for value in ecs.values(document, field)]


@lru_cache(maxsize=100_000)
def _plain(address: str) -> str:
    """One spelling for each address."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address.lower()
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return str(parsed)
