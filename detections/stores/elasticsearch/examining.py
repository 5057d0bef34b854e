"""What a cluster is and allows, looked at from outside: for `manage.py elasticsearch check`."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

from detections.errors import StoreError
from detections.stores.elasticsearch.answers import data_stream
from detections.stores.elasticsearch.connection import Access, Connection
from detections.stores.elasticsearch.streams import needs

# What none of our credentials should be allowed, wherever it points.
TOO_MUCH_INDEX = ("write", "delete", "delete_index", "manage", "create_index")
TOO_MUCH_CLUSTER = ("all", "manage_security", "manage_index_templates", "monitor")


@dataclass(frozen=True, slots=True)
class Rights:
    """What one credential is and may do. error: why it could not be told; nothing else is known then.

    granted, missing: what it needs, as `privileges on patterns`; beyond: what it may although it need not.
    """

    access: Access
    user: str = ""
    granted: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    beyond: tuple[str, ...] = ()
    error: str = ""


@dataclass(frozen=True, slots=True)
class PatternMatch:
    """How many indices a pattern takes in, and the names of some data streams; error: why it is not known."""

    pattern: str
    indices: int = 0
    streams: tuple[str, ...] = field(default_factory=tuple)
    error: str = ""


def reach(connection: Connection) -> None:
    """Raise StoreError if nothing answers: then there is nothing else to ask."""
    try:
        connection.ask("be reached", connection.client(Access.DETECT, "check").security.authenticate)
    except StoreError:
        if connection.breaker.failures:
            raise


def rights(connection: Connection, access: Access) -> Rights:
    """Ask the cluster what a credential may do. Raises nothing."""
    wanted = needs(access, connection.cluster)
    client = connection.client(access, "check")
    try:
        who = connection.ask("be reached", client.security.authenticate).body
        index = [
            {"names": [pattern], "privileges": sorted({*privileges, *TOO_MUCH_INDEX})}
            for pattern, privileges in wanted.items()
        ]
        answer = connection.ask(
            "ask for its own privileges",
            partial(client.security.has_privileges, index=index, cluster=list(TOO_MUCH_CLUSTER)),
        ).body
    except StoreError as error:
        return Rights(access, error=str(error))
    return _told(access, str(who.get("username", "")), answer, wanted)


def _told(access: Access, user: str, answer: dict[str, Any], wanted: dict[str, tuple[str, ...]]) -> Rights:
    held = {
        (privilege, pattern): allowed
        for pattern, privileges in answer.get("index", {}).items()
        for privilege, allowed in privileges.items()
    }
    asked = [(privilege, pattern) for pattern, privileges in wanted.items() for privilege in privileges]
    more = [pair for pair, allowed in held.items() if allowed and pair not in asked]
    cluster = [one for one, allowed in answer.get("cluster", {}).items() if allowed]
    return Rights(
        access,
        user,
        granted=_grouped(pair for pair in asked if held.get(pair)),
        missing=_grouped(pair for pair in asked if not held.get(pair)),
        beyond=(*_grouped(more), *([f"{', '.join(cluster)} in the cluster"] if cluster else [])),
    )


def _grouped(pairs: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """`read, write on logs-*, winlogbeat-*`: patterns with the same privileges in one phrase."""
    by_pattern: dict[str, list[str]] = {}
    for privilege, pattern in pairs:
        by_pattern.setdefault(pattern, []).append(privilege)
    by_privileges: dict[str, list[str]] = {}
    for pattern, privileges in by_pattern.items():
        by_privileges.setdefault(", ".join(privileges), []).append(pattern)
    return tuple(f"{privileges} on {', '.join(names)}" for privileges, names in by_privileges.items())


def matches(connection: Connection, patterns: Sequence[str]) -> list[PatternMatch]:
    """What each pattern takes in, one request a pattern. Raises nothing."""
    return [_match(connection, one) for one in patterns if not one.startswith("-")]


def _match(connection: Connection, pattern: str) -> PatternMatch:
    client = connection.client(Access.DETECT, "check")
    try:
        answer = connection.ask(
            "see which indices there are",
            lambda: client.field_caps(
                index=pattern, fields="@timestamp", ignore_unavailable=True, allow_no_indices=True
            ),
        ).body
    except StoreError as error:
        return PatternMatch(pattern, error=str(error))
    names = answer.get("indices") or []
    names = [names] if isinstance(names, str) else names
    return PatternMatch(pattern, len(names), tuple(sorted({data_stream(one) for one in names})))


def version(connection: Connection) -> str:
    """The cluster's version, "" where it does not say."""
    client = connection.client(Access.DETECT, "check")
    try:
        return str(connection.ask("say its version", client.info).body["version"]["number"])
    except (StoreError, KeyError, TypeError):
        return ""


def refresh_interval(connection: Connection, patterns: Sequence[str]) -> timedelta | None:
    """The longest time that a document waits until it can be searched, None where it is not told."""
    client = connection.client(Access.DETECT, "check")
    local = [one for one in patterns if ":" not in one and not one.startswith("-")]
    try:
        answer = connection.ask(
            "read index settings",
            lambda: client.indices.get_settings(
                index=",".join(local),
                name="index.refresh_interval",
                include_defaults=False,
                ignore_unavailable=True,
            ),
        ).body
    except StoreError:
        return None
    found = [
        _span(one.get("settings", {}).get("index", {}).get("refresh_interval", "1s"))
        for one in answer.values()
    ]
    return max(filter(None, found), default=timedelta(seconds=1))


def _span(text: str) -> timedelta | None:
    units = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}
    number = text.rstrip("smh")
    unit = text[len(number) :]
    return timedelta(seconds=float(number) * units[unit]) if unit in units and number.isdigit() else None
