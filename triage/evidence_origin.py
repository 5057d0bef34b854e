"""Where the rows of a search came from, where there is a cluster beside what is imported here.

A run's `segments` say it: what was searched, and, after a `#`, which rows a data stream of the cluster gave.
So it is part of what the run's hash covers. Rows that no entry names were imported or sent here.
"""

from collections.abc import Sequence
from itertools import groupby

from detections.stores.base import CLUSTER

_ROWS = "#"
HERE = "imported here"


def noted(segments: Sequence[str], origins: Sequence[str]) -> list[str]:
    """The segments, and for each origin in the cluster which rows it gave; rows count from 1."""
    rows: dict[str, list[int]] = {}
    for number, origin in enumerate(origins, start=1):
        if origin:
            rows.setdefault(origin, []).append(number)
    return [*segments, *(f"{origin}{_ROWS}{_ranges(numbers)}" for origin, numbers in rows.items())]


def of_row(segments: Sequence[str], position: int) -> str:
    """Where a row came from, in words; "" where there was only one place that it could come from."""
    for segment in segments:
        origin, found, ranges = segment.rpartition(_ROWS)
        if found and origin.startswith(CLUSTER) and _holds(ranges, position):
            return f"data stream {origin.removeprefix(CLUSTER)} of the cluster"
    return HERE if any(one.startswith(CLUSTER) for one in segments) else ""


def searched(segments: Sequence[str]) -> str:
    """How much was searched: `3 segments`, `2 index patterns`, or both."""
    plain = [one for one in segments if _ROWS not in one]
    patterns = sum(one.startswith(CLUSTER) for one in plain)
    local = len(plain) - patterns
    parts = [
        f"{count} {noun}{'' if count == 1 else 's'}"
        for count, noun in ((patterns, "index pattern"), (local, "segment"))
        if count
    ]
    return " and ".join(parts)


def came_from(segments: Sequence[str], kept: int) -> str:
    """How many of the kept rows the cluster gave, and how many were here; "" without a cluster or rows."""
    if not kept or not any(one.startswith(CLUSTER) for one in segments):
        return ""
    theirs = sum(bool(of_row(segments, position).startswith("data")) for position in range(1, kept + 1))
    parts = [f"{theirs} from the cluster"] * bool(theirs) + [f"{kept - theirs} imported here"] * (
        kept > theirs
    )
    return ", ".join(parts)


def _ranges(numbers: Sequence[int]) -> str:
    """`1-3,7`."""
    found = []
    for _key, group in groupby(enumerate(numbers), key=lambda one: one[1] - one[0]):
        run = [number for _index, number in group]
        found.append(f"{run[0]}" if len(run) == 1 else f"{run[0]}-{run[-1]}")
    return ",".join(found)


def _holds(ranges: str, position: int) -> bool:
    for one in ranges.split(","):
        first, _dash, last = one.partition("-")
        if first.isdigit() and int(first) <= position <= int(last or first):
            return True
    return False
