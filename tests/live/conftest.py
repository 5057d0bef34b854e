"""Real instances, and a real PostgreSQL."""

import pytest

from tests.instance import Instance
from tests.postgresql import FAST, PostgreSQL


@pytest.fixture
def instance(tmp_path):
    instance = Instance(tmp_path / "data").start()
    yield instance
    instance.stop()


@pytest.fixture(scope="module")
def postgresql():
    """The DATABASE_URL of an empty database on a server of its own."""
    server = PostgreSQL(**FAST)
    yield server.new_database()
    server.remove()
