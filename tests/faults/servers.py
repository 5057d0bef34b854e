"""A PostgreSQL of its own, that a test may stop, cut off and start again."""

import shutil
import subprocess
import tempfile
from itertools import count
from pathlib import Path

import psycopg

from tests.instance import free_port
from tests.live.conftest import _as_server, _programs

_names = count()


class PostgreSQL:
    """Debian's binaries on a free port. Skips the test where there are none."""

    def __init__(self) -> None:
        self._programs, self._prefix = _programs(), _as_server()
        self.folder, self.port = Path(tempfile.mkdtemp(prefix="casewright-fault-")), free_port()
        if self._prefix:
            shutil.chown(self.folder, "postgres")
        self._cluster = str(self.folder / "cluster")
        options = ["-A", "trust", "-U", "casewright", "-E", "UTF8", "--locale=C", "--no-sync"]
        self._run("initdb", "-D", self._cluster, *options)
        self.start()

    def start(self) -> None:
        options = f"-h 127.0.0.1 -p {self.port} -k {self.folder} -c max_connections=80"
        self._run("pg_ctl", "-D", self._cluster, "-l", str(self.folder / "log"), "-o", options, "-w", "start")

    def stop(self) -> None:
        """At once, as a power cut does: nothing is written that was not before."""
        self._run("pg_ctl", "-D", self._cluster, "-m", "immediate", "-w", "stop")

    def remove(self) -> None:
        command = [
            *self._prefix,
            str(self._programs / "pg_ctl"),
            "-D",
            self._cluster,
            "-m",
            "immediate",
            "stop",
        ]
        subprocess.run(command, cwd="/", capture_output=True, check=False, timeout=60)
        shutil.rmtree(self.folder, ignore_errors=True)

    def execute(self, statement: str, *, database: str = "postgres") -> None:
        with psycopg.connect(self._url(database), autocommit=True) as connection:
            connection.execute(statement)

    def new_database(self) -> str:
        """The DATABASE_URL of a database of its own, empty."""
        name = f"fault{next(_names)}"
        self.execute(f"CREATE DATABASE {name}")
        return self._url(name)

    def _url(self, database: str) -> str:
        return f"postgres://casewright@127.0.0.1:{self.port}/{database}"

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._prefix, str(self._programs / program), *arguments]
        # Not captured by a pipe: the server would keep it open.
        with tempfile.TemporaryFile() as said:
            done = subprocess.run(command, cwd="/", stdout=said, stderr=said, timeout=60, check=False)
            said.seek(0)
            assert done.returncode == 0, said.read().decode()
