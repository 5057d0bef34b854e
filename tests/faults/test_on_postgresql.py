"""The faults that need no processes, on PostgreSQL, in their full number: `make test` runs there what touches
the database, with the few of every day."""

import os
import subprocess
import sys

import pytest

from tests.faults import IS_FULL
from tests.instance import ROOT

FILES = ["test_poison.py", "test_deliveries.py", "test_storms.py", "test_late_telemetry.py", "test_clocks.py"]


@pytest.mark.live
@pytest.mark.skipif(not IS_FULL, reason="for the long run: make faults")
@pytest.mark.timeout(7200)
def test_the_same_faults_end_the_same_way(postgresql_server):
    files = [f"tests/faults/{name}" for name in FILES]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-m", "not live", "-p", "no:cacheprovider", *files],
        cwd=ROOT,
        env=os.environ | {"DATABASE_URL": postgresql_server.new_database()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
