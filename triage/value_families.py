"""Values that can be followed over hosts: which fields hold the same sort of thing."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from detections.enums import TelemetryKind
from detections.stores.base import Clause, Filters

_K = TelemetryKind


@dataclass(frozen=True, slots=True)
class Family:
    """A sort of value. noun: as in "this address". fields: all that are asked; kinds: what these read."""

    key: str
    noun: str
    fields: tuple[str, ...]
    kinds: tuple[TelemetryKind, ...]
    columns: tuple[str, ...]


_PROCESS = ("host.name", "user.name", "process.executable", "process.command_line", "process.parent.name")
_NETWORK = ("host.name", "process.name", "network.direction", "source.ip", "destination.ip",
            "destination.port", "dns.question.name", "dns.resolved_ip")  # fmt: skip
_FILES = ("host.name", "event.action", "file.path", "dll.path", "process.executable", "process.name")
FAMILIES = (
    Family("address", "address", ("source.ip", "destination.ip", "dns.resolved_ip"),
           (_K.CONNECTION,), _NETWORK),
    Family("domain", "name", ("dns.question.name", "destination.domain", "url.domain"), (_K.DNS,), _NETWORK),
    Family("hash", "hash", ("process.hash.sha256", "dll.hash.sha256", "file.hash.sha256"),
           (_K.PROCESS,), (*_FILES, "process.hash.sha256")),
    Family("md5", "hash", ("process.hash.md5", "dll.hash.md5", "file.hash.md5"), (_K.PROCESS,), _FILES),
    Family("sha1", "hash", ("process.hash.sha1", "dll.hash.sha1", "file.hash.sha1"), (_K.PROCESS,), _FILES),
    Family("command_line", "command line", ("process.command_line",), (_K.PROCESS,), _PROCESS),
    Family("parent_line", "command line", ("process.parent.command_line",), (_K.PROCESS,), _PROCESS),
    Family("user", "user", ("user.name",), (_K.PROCESS,), ("host.name", "event.action", *_PROCESS[1:])),
    Family("user_id", "user", ("user.id",), (_K.PROCESS,), ("host.name", "event.action", *_PROCESS[1:])),
    Family("path", "file", ("file.path", "dll.path", "process.executable"), (_K.PROCESS, _K.FILE), _FILES),
    Family("process", "program", ("process.name",), (_K.PROCESS,), _PROCESS),
    Family("parent", "parent program", ("process.parent.executable",), (_K.PROCESS,), _PROCESS),
    Family("parent_name", "parent program", ("process.parent.name",), (_K.PROCESS,), _PROCESS),
    Family("signer", "signer", ("process.code_signature.subject_name", "dll.code_signature.subject_name"),
           (_K.PROCESS,), _FILES),
    Family("registry", "registry path", ("registry.path",), (_K.REGISTRY,),
           ("host.name", "registry.path", "process.name")),
)  # fmt: skip
_BY_FIELD: Mapping[str, Family] = {field: family for family in FAMILIES for field in family.fields}
# What these fields hold is asked for where they stand: their telemetry is another one.
_KINDS = {
    "dns.resolved_ip": (_K.DNS,),
    "file.path": (_K.FILE,),
    "file.hash.sha256": (_K.FILE,),
    "dll.path": (_K.LIBRARY,),
    "dll.hash.sha256": (_K.LIBRARY,),
    "dll.code_signature.subject_name": (_K.LIBRARY,),
}


def family_of(field: str) -> Family | None:
    """The sort of value that a field holds; None for one that can't be followed over hosts."""
    return _BY_FIELD.get(field)


def can_be_followed(field: str, value: Any) -> bool:
    """Whether the value of a field can be asked for on other hosts: an address of the host alone can't."""
    family = family_of(field)
    if family is None or not isinstance(value, str | int) or value in ("", "-"):
        return False
    return family.key != "address" or not _is_loopback(str(value))


def _is_loopback(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return True
    return address.is_loopback or address.is_unspecified


def filters_for(field: str, value: Any) -> Filters:
    """The value in any field of its family, exactly as written."""
    family = _BY_FIELD[field]
    return Filters(tuple((Clause(name, values=(value,)),) for name in family.fields))


def kinds_for(field: str) -> tuple[TelemetryKind, ...]:
    """The telemetry without which a silence about the value means nothing."""
    family = _BY_FIELD[field]
    own = _KINDS.get(field, ())
    return tuple(dict.fromkeys((*own, *(() if own else family.kinds))))
