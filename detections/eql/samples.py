"""Samples: one set of distinct events a join key, one event a filter, in any order."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from detections.eql.ast import SampleQuery
from detections.eql.joins import Key, key_order

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Sampled(Generic[T]):
    """An event in index order. `stages`: index into `query.stages` -> its join keys there."""

    event: T
    stages: Mapping[int, tuple[Key, ...]]


@dataclass(frozen=True, slots=True)
class Sample(Generic[T]):
    events: tuple[T, ...]
    keys: Key


def find_samples(query: SampleQuery, candidates: Iterable[Sampled[T]]) -> list[Sample[T]]:
    """One sample for each key that every filter has, sorted by key with nulls first.

    A filter offers its first n events of a key, n being the number of filters: enough to find distinct
    ones if there are any.
    """
    width = len(query.stages)
    offers: dict[Key, list[list[Any]]] = {}
    for number, candidate in enumerate(candidates):
        for stage, keys in candidate.stages.items():
            for key in keys:
                offer = offers.setdefault(key, [[] for _ in range(width)])[stage]
                if len(offer) < width:
                    offer.append((number, candidate.event))
    found = []
    for key in sorted(offers, key=key_order):
        if events := _distinct(offers[key], set()):
            found.append(Sample(tuple(event for _, event in events), key))
    return found


def _distinct(offers: list[list[tuple[int, T]]], taken: set[int]) -> list[tuple[int, T]] | None:
    """The first choice of one event a filter in which none comes twice."""
    if not offers:
        return []
    for number, event in offers[0]:
        if number not in taken:
            rest = _distinct(offers[1:], taken | {number})
            if rest is not None:
                return [(number, event), *rest]
    return None
