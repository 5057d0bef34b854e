"""What time it is in the cluster. No answer states it; a name with date math in it tells, to the second."""

from collections.abc import Sequence
from datetime import UTC, datetime

from detections.errors import StoreError
from detections.stores.elasticsearch.connection import Access, Connection

_NOW = "casewright.clock-{now{yyyy-MM-dd-HH-mm-ss}}"
_FORMAT = "%Y-%m-%d-%H-%M-%S"


def time_of(connection: Connection, patterns: Sequence[str]) -> datetime | None:
    """The cluster's time, from the name of an index that is not there; None where that can't be asked.

    Raises StoreError if the cluster does not answer.
    """
    pattern = next((one for one in patterns if "*" in one and ":" not in one and one[0] != "-"), None)
    if pattern is None:
        return None
    head, _star, tail = pattern.partition("*")
    name = f"<{head}{_NOW}{tail.replace('*', '')}>"
    client = connection.client(Access.DETECT, "clock").options(ignore_status=(403, 404))
    try:
        answer = connection.ask(
            "be asked for its time",
            lambda: client.field_caps(
                index=name, fields="@timestamp", ignore_unavailable=False, allow_no_indices=False
            ),
        ).body
    except StoreError:
        if connection.breaker.failures:
            raise
        return None
    error = answer.get("error") or {}
    return _read(str(error.get("index") or error.get("resource.id") or "") if isinstance(error, dict) else "")


def _read(index: str) -> datetime | None:
    _head, found, rest = index.partition("casewright.clock-")
    try:
        return datetime.strptime(rest[:19], _FORMAT).replace(tzinfo=UTC) if found else None
    except ValueError:
        return None
