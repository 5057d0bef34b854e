"""What every fault needs: the invariants afterwards, a clock for arrivals, and figures that are kept."""

import json
import os
import sys
from pathlib import Path

import pytest

from detections import invariants
from detections.actors import system

FIGURES = os.environ.get("FAULTS_FIGURES", "")


@pytest.fixture
def figure():
    """Prints a figure, and keeps it as a JSON line in the file that FAULTS_FIGURES names."""

    def say(name, /, **values):
        line = json.dumps({"fault": name} | values, default=str)
        sys.stdout.write(line + "\n")
        if FIGURES:
            with Path(FIGURES).open("a") as file:
                file.write(line + "\n")

    return say


@pytest.fixture
def holds():
    """Checks what must hold at any time; the fault tests of this process call it when all is done."""

    def check():
        assert list(invariants.broken()) == []

    return check


@pytest.fixture
def actor():
    return system("fault test")


@pytest.fixture(scope="session")
def postgresql_server():
    """A PostgreSQL for all fault tests of this session; skips where there is none."""
    from tests.postgresql import PostgreSQL

    server = PostgreSQL()
    yield server
    server.remove()


@pytest.fixture
def database(request):
    """The DATABASE_URL of an empty database; empty itself for SQLite in the data folder. See `databases`."""
    if request.param == "sqlite":
        return ""
    return request.getfixturevalue("postgresql_server").new_database()
