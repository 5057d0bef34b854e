"""Faults, one after another, against what must hold after each: docs/reliability.md has the figures.

The quick numbers run with the other tests; FAULTS=full takes those of docs/reliability.md.
"""

import os
from collections.abc import Iterable

import pytest

IS_FULL = os.environ.get("FAULTS") == "full"


def number(quick: int, full: int) -> int:
    """How often a fault strikes in this run."""
    return full if IS_FULL else quick


def databases(*quick: str) -> pytest.MarkDecorator:
    """Both databases in a full run, these in a quick one."""
    return pytest.mark.parametrize("database", ["sqlite", "postgresql"] if IS_FULL else quick, indirect=True)


def percentile(seconds: Iterable[float], share: int) -> float:
    """The value that this share of them, in per cent, does not exceed."""
    ordered = sorted(seconds)
    return round(ordered[min(len(ordered) * share // 100, len(ordered) - 1)], 2)
