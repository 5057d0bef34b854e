"""The processes of docker/compose.yaml with its settings, without containers."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import yaml

from tests.instance import ROOT, free_port, wait_for
from tests.postgresql import FAST, PostgreSQL

COMPOSE = ROOT / "docker/compose.yaml"
WEB = re.findall(r"^CMD (\[.*\])$", (ROOT / "docker/Dockerfile").read_text(), re.M)[0]


class Team:
    """What profile `team` starts, as processes of this machine. Secrets are files, as there.

    settings: what stands in the file `.env`.
    """

    def __init__(self, folder: Path, database: str, broker: str, **settings: str) -> None:
        self.services = yaml.safe_load(COMPOSE.read_text())["services"]
        self.folder, self.port, self.database = folder, free_port(), database
        self.settings = settings
        self.url = f"http://127.0.0.1:{self.port}"
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        (folder / "secrets").mkdir()
        files = {"secret_key": "s" * 50, "database_url": database, "redis_url": broker}
        for name in self.services["web"]["secrets"]:
            (folder / "secrets" / name).write_text(files.get(name, ""))

    def environment(self, name: str) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if key in ("PATH", "HOME", "LANG", "TMPDIR")}
        kept["PATH"] = f"{Path(sys.executable).parent}:{kept['PATH']}"
        said = {
            key: value.replace("/run/secrets", str(self.folder / "secrets"))
            for key, value in self.services[name]["environment"].items()
        }
        from_env_file = {
            "ALLOWED_HOSTS": "localhost,127.0.0.1",
            "CASEWRIGHT_WAKE_SECONDS": "2",
            **self.settings,
        }
        ours = {"CASEWRIGHT_DATA": str(self.folder / "data"), "DJANGO_SETTINGS_MODULE": "config.settings"}
        return {**kept, **from_env_file, **ours, **said, "CASEWRIGHT_PORT": str(self.port)}

    def command(self, name: str, *more: str) -> list[str]:
        written = self.services[name].get("command") or yaml.safe_load(WEB)
        return [part.replace("0.0.0.0:8000", f"127.0.0.1:{self.port}") for part in written] + list(more)

    def run(self, service: str, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command or self.command(service), cwd=ROOT, env=self.environment(service), capture_output=True,
            text=True, timeout=300, check=False,
        )  # fmt: skip

    def manage(self, *arguments: str) -> str:
        """What a management command prints."""
        done = self.run("web", sys.executable, "manage.py", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def start(self, name: str, service: str, *more: str) -> None:
        log = (self.folder / f"{name}.log").open("wb")
        self.processes[name] = subprocess.Popen(
            self.command(service, *more), cwd=ROOT, env=self.environment(service), stdout=log,
            stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip

    def check(self, service: str, **environment: str) -> bool:
        """The container's health check."""
        command = self.services[service]["healthcheck"]["test"][1:]
        done = subprocess.run(
            [sys.executable if part == "python" else part for part in command], cwd=ROOT,
            env={**self.environment(service), **environment}, timeout=60, check=False,
        )  # fmt: skip
        return done.returncode == 0

    def count(self, what: str) -> int:
        """How many rows there are, asked of the database itself."""
        with psycopg.connect(self.database) as connection:
            row = connection.execute(f"SELECT count(*) FROM {what}").fetchone()
        return int(row[0]) if row else 0

    def said(self) -> str:
        return "\n".join(f"{path.name}: {path.read_text()[-1500:]}" for path in self.folder.glob("*.log"))

    def stop(self) -> None:
        for process in self.processes.values():
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def running_team(
    folder: Path, broker: str, *, first: Callable[[Team], object] | None = None, **settings: str
) -> Iterator[Team]:
    """Web, the workers of the compose file and beat, over a PostgreSQL of their own; ended at the end.

    first: what is done once the database is there, before anything runs.
    """
    database = PostgreSQL(**FAST)
    team = Team(folder, database.new_database(), broker, **settings)
    try:
        prepared = team.run("prepare")
        assert prepared.returncode == 0, prepared.stderr
        if first is not None:
            first(team)
        team.start("web", "web")
        for number in range(team.services["worker"]["deploy"]["replicas"]):
            team.start(f"worker{number}", "worker", "--hostname", f"celery{number}@{socket.gethostname()}")
        team.start("beat", "beat")
        wait_for(lambda: team.check("web"), "the web server answers", seconds=60)
        yield team
    finally:
        team.stop()
        database.remove()
