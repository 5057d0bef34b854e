"""Real processes around one database: broker, workers and beats that a test may kill, a driver to ask."""

import atexit
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.instance import ROOT, wait_for

READY = "ready"
# A database with its tables, made by the first stand of a session and copied by the others.
TEMPLATES = Path(tempfile.mkdtemp(prefix="casewright-template-"))
atexit.register(shutil.rmtree, TEMPLATES, ignore_errors=True)


class Driver:
    """A Python process over the instance's own database and store that does what it is told, line by line."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.driver"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdin
        assert self._process.stdout
        self._in, self._out = self._process.stdin, self._process.stdout
        assert self._read() == READY

    def call(self, name: str, *arguments: Any) -> Any:
        """What a function of `tests.faults.driver` returns. Raises what it says went wrong."""
        self._in.write(json.dumps([name, *arguments]) + "\n")
        self._in.flush()
        answer = self._read()
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["value"]

    def _read(self) -> Any:
        line = self._out.readline()
        assert line, "the driver ended"
        return json.loads(line)

    def close(self) -> None:
        self._in.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Stand:
    """Use it as a context. `environment`: of every process of the stand."""

    def __init__(
        self, data: Path, database: str, *, workers: int = 1, beats: int = 1, **settings: str
    ) -> None:
        self.data = data
        self.kind = "postgresql" if database else "sqlite"
        kept = {k: v for k, v in os.environ.items() if k not in {"DATABASE_URL", "REDIS_URL"}}
        self.environment = kept | {
            "CASEWRIGHT_DATA": str(data),
            "CASEWRIGHT_WAKE_SECONDS": "1",
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "LOG_LEVEL": "WARNING",
        }
        if database:
            self.environment["DATABASE_URL"] = database
        self.environment |= settings
        self._numbers = {"worker": workers, "beat": beats}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> "Stand":
        self.data.mkdir(parents=True)
        self.driver = Driver(self.environment)
        try:
            self.driver.call("prepare", str(TEMPLATES / "migrated.sqlite3"))
            self.start("broker")
            for kind, wanted in self._numbers.items():
                for index in range(wanted):
                    self.start(kind, index)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for name in list(self.processes):
            self.kill(name)
        self.driver.close()

    def start(self, kind: str, index: int = 0) -> None:
        """A broker, a worker or a beat, as `manage.py up` starts it."""
        command = self.driver.call("command", kind)
        if kind == "web":
            self.address = command[command.index("--bind") + 1]
        log = (self.data / f"{kind}-{index}.log").open("ab")
        self.processes[f"{kind}-{index}"] = subprocess.Popen(
            command, cwd=ROOT, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        log.close()
        if kind == "broker":
            wait_for(lambda: self.driver.call("broker_answers"), "the broker answers", seconds=15)

    def revive(self) -> list[str]:
        """Start again what ended by itself, as the supervisor does. The names of those."""
        ended = [name for name, process in self.processes.items() if process.poll() is not None]
        for name in ended:
            kind, index = name.rsplit("-", 1)
            del self.processes[name]
            self.start(kind, int(index))
        return ended

    def kill(self, name: str) -> None:
        """kill -9, children included."""
        process = self.processes.pop(name)
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGCONT)
            process.kill()
        process.wait()

    @contextlib.contextmanager
    def frozen(self, name: str) -> Iterator[None]:
        """The process takes connections and answers nothing: a black hole."""
        self.processes[name].send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.processes[name].send_signal(signal.SIGCONT)

    def send_attack(self, entity: str) -> None:
        """One match's events reach the store, and the rules are due: what the end of an import does."""
        self.driver.call("attack", entity)

    def send_attack_of(self, sequences: int) -> None:
        """So many matches at once, each of a process of its own."""
        self.driver.call("attack", "burst", sequences)

    def page_seconds(self, path: str = "/", cookie: str = "") -> float:
        """How long a page takes that asks the database."""
        request = urllib.request.Request(f"http://{self.address}{path}", headers={"Cookie": cookie})
        begin = time.monotonic()
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert answer.status == 200
            assert not cookie or "sign-in" not in answer.url, "the session does not count"
            answer.read()
        return time.monotonic() - begin

    def memory(self, name: str) -> int:
        """MiB that a process and its children hold now, what they share counted once for each."""
        pids, total = [self.processes[name].pid], 0
        while pids:
            folder = Path("/proc") / str(pids.pop())
            with contextlib.suppress(OSError):
                total += int((folder / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
                pids += [int(pid) for pid in (folder / "task" / folder.name / "children").read_text().split()]
        return total >> 20

    def wait_for_cases(self, wanted: int, *, seconds: float = 120) -> float:
        """Seconds until this many cases are open. What ended meanwhile is started again."""
        begin = time.monotonic()

        def are_open() -> bool:
            self.revive()
            return bool(self.driver.call("cases") >= wanted)

        wait_for(are_open, f"{wanted} cases open", seconds=seconds)
        return time.monotonic() - begin
