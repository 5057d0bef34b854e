"""Pieces of a Windows event that several mappings need: paths, accounts, numbers, hashes, addresses."""

import ipaddress
from functools import lru_cache

from detections import ecs
from detections.ecs import Document

NO_PROCESS = frozenset({"<unknown process>", "System"})


def base_name(path: str) -> str:
    """The text after the last backslash; a process that Windows could not name has none."""
    return "" if path in NO_PROCESS else path.rpartition("\\")[2]


def put_file(document: Document, path: str, under: str = "file") -> None:
    """Path, name, directory and extension of a file."""
    directory, _, name = path.rpartition("\\")
    ecs.put(document, f"{under}.path", path)
    ecs.put(document, f"{under}.name", name)
    ecs.put(document, f"{under}.directory", directory)
    if "." in name:
        ecs.put(document, f"{under}.extension", name.rpartition(".")[2])


def put_account(document: Document, account: str, under: str = "user") -> None:
    """Domain and name of an account written as `DOMAIN\\name`."""
    domain, _, name = account.rpartition("\\")
    ecs.put(document, f"{under}.domain", domain)
    ecs.put(document, f"{under}.name", name)
    add_related(document, "user", name)


def add_related(document: Document, kind: str, *values: str) -> None:
    """Add to `related.KIND`, each value once."""
    for value in values:
        if value:
            known = document.setdefault("related", {}).setdefault(kind, [])
            if value not in known:
                known.append(value)


def number(text: str) -> int | None:
    """A decimal or `0x` number, or None; beyond 64 bits it is none."""
    try:
        value = int(text, 16 if text[:2].lower() == "0x" else 10)
    except ValueError:
        return None
    return value if -(2**63) <= value < 2**63 else None


@lru_cache(maxsize=8192)
def address(text: str) -> str:
    """An IP address as logged, IPv4 without its IPv6 wrapping; "" where the text is none."""
    text = text.removeprefix("::ffff:").removeprefix("::FFFF:")
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return ""
    return text


def hashes(text: str) -> dict[str, str]:
    """`SHA1=..,MD5=..` by lower-case name, without the all-zero ones that mean "not computed"."""
    found: dict[str, str] = {}
    for pair in text.split(","):
        name, _, value = pair.strip().lower().partition("=")
        if value.strip("0") and name:
            found[name] = value
    return found
