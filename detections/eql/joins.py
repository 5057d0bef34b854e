"""Join keys: what an event joins by."""

from collections.abc import Iterable, Sequence
from itertools import product
from typing import Any

Key = tuple[Any, ...]


def joined_keys(values: Iterable[Sequence[Any]], optional: Iterable[bool]) -> tuple[Key, ...]:
    """The join keys of one event in one stage, sorted and distinct.

    values: the typed values of each key field (empty where absent). optional: whether each was written
    with `?`. Several values join each for itself (cartesian product); a mandatory key without a value
    excludes the event: the answer is empty.
    """
    parts = []
    for found, may_be_null in zip(values, optional, strict=True):
        distinct = list(dict.fromkeys(value for value in found if value is not None))
        if not distinct and not may_be_null:
            return ()
        parts.append(sorted(distinct, key=_typed) or [None])
    return tuple(product(*parts))


def key_order(key: Key) -> tuple[tuple[Any, ...], ...]:
    """Sorts keys by value, nulls first."""
    return tuple((0,) if part is None else (1, *_typed(part)) for part in key)


def _typed(value: Any) -> tuple[Any, ...]:
    return (type(value).__name__, value)
