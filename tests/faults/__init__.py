"""Faults, one after another, against what must hold after each: docs/reliability.md has the figures.

The quick numbers run with the other tests; FAULTS=full takes those of docs/reliability.md.
"""

import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

FIGURES = os.environ.get("FAULTS_FIGURES", "")
IS_FULL = os.environ.get("FAULTS") == "full"


def number(quick: int, full: int) -> int:
    """How often a fault strikes in this run."""
    return full if IS_FULL else quick


def keep_figure(name: str, /, **values: object) -> None:
    """Print a figure, and keep it as a JSON line in the file that FAULTS_FIGURES names."""
    line = json.dumps({"fault": name} | values, default=str)
    sys.stdout.write(line + "\n")
    if FIGURES:
        with Path(FIGURES).open("a") as file:
            file.write(line + "\n")


def databases(*quick: str) -> pytest.MarkDecorator:
    """Both databases in a full run, these in a quick one."""
    return pytest.mark.parametrize("database", ["sqlite", "postgresql"] if IS_FULL else quick, indirect=True)


def percentile(seconds: Iterable[float], share: int) -> float:
    """The value that this share of them, in per cent, does not exceed."""
    ordered = sorted(seconds)
    return round(ordered[min(len(ordered) * share // 100, len(ordered) - 1)], 2)
