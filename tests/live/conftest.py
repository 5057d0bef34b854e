"""A real PostgreSQL."""

import pytest

from tests.postgresql import FAST, PostgreSQL


@pytest.fixture(scope="module")
def postgresql():
    """The DATABASE_URL of an empty database on a server of its own."""
    server = PostgreSQL(**FAST)
    yield server.new_database()
    server.remove()
