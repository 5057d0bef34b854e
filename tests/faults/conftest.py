"""What every fault needs: the invariants afterwards, a clock for arrivals, and figures that are kept."""

import pytest

from detections import invariants
from detections.actors import system
from tests.faults import keep_figure


@pytest.fixture
def figure():
    """See `keep_figure`."""
    return keep_figure


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
