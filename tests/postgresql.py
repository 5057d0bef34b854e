"""PostgreSQL servers of the tests' own: Debian's binaries, a folder and a socket for each.

`python -m tests.postgresql COMMAND...` runs a command with DATABASE_URL naming an empty database on one.
"""

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from itertools import count
from pathlib import Path
from xml.etree import ElementTree

import psycopg
import pytest

from tests.instance import free_port

_names = count()
# For tests that end with the machine: nothing has to outlive a power cut. JIT costs more than it gives here.
FAST = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum": "off",
    "jit": "off",
    "shared_buffers": "256MB",
}


class MissingError(Exception):
    """This machine has no PostgreSQL that could be started; says what lacks."""


def programs() -> Path:
    """The folder of the newest PostgreSQL of this machine. Raises MissingError."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found and not shutil.which("initdb"):
        raise MissingError("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    return found[-1].parent if found else Path(shutil.which("initdb") or "").parent


def as_server() -> list[str]:
    """PostgreSQL refuses to run as root: then as the account that its package made. Raises MissingError."""
    if os.getuid() != 0:
        return []
    try:
        pwd.getpwnam("postgres")
    except KeyError:
        raise MissingError("PostgreSQL does not run as root, and there is no account postgres") from None
    return ["runuser", "-u", "postgres", "--"]


class PostgreSQL:
    """One server, started. Skips the test where there is none. options: settings of the server."""

    def __init__(self, **options: str) -> None:
        try:
            self._programs, self._prefix = programs(), as_server()
        except MissingError as missing:
            pytest.skip(str(missing))
        self.folder, self.port = Path(tempfile.mkdtemp(prefix="casewright-pg-")), free_port()
        self._options = {"max_connections": "80", **options}
        if self._prefix:
            shutil.chown(self.folder, "postgres")
        self._cluster = str(self.folder / "cluster")
        made = ["-A", "trust", "-U", "casewright", "-E", "UTF8", "--locale=C", "--no-sync"]
        self._run("initdb", "-D", self._cluster, *made)
        self.start()

    def start(self) -> None:
        settings = " ".join(f"-c {name}={value}" for name, value in self._options.items())
        options = f"-h 127.0.0.1 -p {self.port} -k {self.folder} {settings}"
        self._run("pg_ctl", "-D", self._cluster, "-l", str(self.folder / "log"), "-o", options, "-w", "start")

    def stop(self) -> None:
        """At once, as a power cut does: nothing is written that was not before."""
        self._run("pg_ctl", "-D", self._cluster, "-m", "immediate", "-w", "stop")

    def remove(self) -> None:
        stop = [str(self._programs / "pg_ctl"), "-D", self._cluster, "-m", "immediate", "stop"]
        subprocess.run([*self._prefix, *stop], cwd="/", capture_output=True, check=False, timeout=60)
        shutil.rmtree(self.folder, ignore_errors=True)

    def execute(self, statement: str, *, database: str = "postgres") -> None:
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            connection.execute(statement)

    def new_database(self) -> str:
        """The DATABASE_URL of a database of its own, empty."""
        name = f"casewright{next(_names)}"
        self.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def url(self, database: str) -> str:
        """Over TCP on loopback."""
        return f"postgres://casewright@127.0.0.1:{self.port}/{database}"

    def socket_url(self, database: str) -> str:
        """Over the Unix socket, which is faster."""
        return f"postgres://casewright@:{self.port}/{database}?host={self.folder}"

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._prefix, str(self._programs / program), *arguments]
        # Not captured by a pipe: the server would keep it open.
        with tempfile.TemporaryFile() as said:
            done = subprocess.run(command, cwd="/", stdout=said, stderr=said, timeout=60, check=False)
            said.seek(0)
            assert done.returncode == 0, said.read().decode()


def main(command: list[str]) -> int:
    """Run a command beside a server. Where there is no PostgreSQL it is left out, and that is said."""
    try:
        programs(), as_server()
    except MissingError as missing:
        sys.stderr.write(f"Not run on PostgreSQL: {missing}.\n")
        _write_skipped(command, str(missing))
        return 0
    server = PostgreSQL(**FAST)
    try:
        server.execute("CREATE DATABASE casewright")
        environment = {**os.environ, "DATABASE_URL": server.socket_url("casewright")}
        return subprocess.run(command, env=environment, check=False).returncode
    finally:
        server.remove()


def _write_skipped(command: list[str], why: str) -> None:
    """Results that say so, where the command would have written some: the summary lists what was skipped."""
    for argument in command:
        if argument.startswith("--junitxml="):
            case = ElementTree.Element("testcase", name="postgresql")
            ElementTree.SubElement(case, "skipped", message=why)
            suite = ElementTree.Element("testsuite")
            suite.append(case)
            ElementTree.ElementTree(suite).write(argument.removeprefix("--junitxml="))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
