"""The faults that need no processes, on PostgreSQL; the rest of this folder has run them on SQLite."""

import os
import subprocess
import sys

import pytest

from tests.faults import IS_FULL
from tests.instance import ROOT

QUICK = ["test_poison.py", "test_deliveries.py"]
ALL = [*QUICK, "test_storms.py", "test_late_telemetry.py", "test_clocks.py"]
# Not faults, but queries that databases answer each in its own way.
QUERIES = ["tests/detections/test_silence.py", "tests/detections/test_health.py"]


@pytest.mark.live
@pytest.mark.timeout(7200)
def test_the_same_faults_end_the_same_way(postgresql_server):
    files = [f"tests/faults/{name}" for name in (ALL if IS_FULL else QUICK)] + QUERIES
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-m", "not live", "-p", "no:cacheprovider", *files],
        cwd=ROOT,
        env=os.environ | {"DATABASE_URL": postgresql_server.new_database()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
