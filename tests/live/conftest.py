"""Real instances, and a real PostgreSQL."""

import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.instance import Instance, free_port


@pytest.fixture
def instance(tmp_path):
    instance = Instance(tmp_path / "data").start()
    yield instance
    instance.stop()


def _programs() -> Path:
    """The newest PostgreSQL of this machine; skips where there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found and not shutil.which("initdb"):
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    return found[-1].parent if found else Path(shutil.which("initdb") or "").parent


def _as_server() -> list[str]:
    """PostgreSQL refuses to run as root: then as the account that its package made."""
    if os.getuid() != 0:
        return []
    try:
        pwd.getpwnam("postgres")
    except KeyError:
        pytest.skip("PostgreSQL does not run as root, and there is no account postgres")
    return ["runuser", "-u", "postgres", "--"]


@pytest.fixture(scope="module")
def postgresql():
    """The DATABASE_URL of an empty database on a server of its own."""
    programs, prefix = _programs(), _as_server()
    folder = Path(tempfile.mkdtemp(prefix="casewright-pg-"))
    if prefix:
        shutil.chown(folder, "postgres")
    cluster, port = folder / "cluster", free_port()

    def run(program: str, *arguments: str) -> None:
        command = [*prefix, str(programs / program), *arguments]
        done = subprocess.run(command, cwd="/", capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    run(
        "initdb",
        "-D",
        str(cluster),
        "-A",
        "trust",
        "-U",
        "casewright",
        "-E",
        "UTF8",
        "--locale=C",
        "--no-sync",
    )
    options = f"-h 127.0.0.1 -p {port} -k {folder} -c fsync=off -c max_connections=60"
    log = str(folder / "log")
    run("pg_ctl", "-D", str(cluster), "-l", log, "-o", options, "-w", "start")
    try:
        run("createdb", "-h", "127.0.0.1", "-p", str(port), "-U", "casewright", "casewright")
        yield f"postgres://casewright@127.0.0.1:{port}/casewright"
    finally:
        run("pg_ctl", "-D", str(cluster), "-m", "immediate", "-w", "stop")
        shutil.rmtree(folder, ignore_errors=True)
