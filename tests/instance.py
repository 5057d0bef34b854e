"""A real instance in a folder of its own: `manage.py up` with its broker, worker, beat and web server."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlparse

ROOT = Path(__file__).resolve().parents[1]
# Answers expressions, a line of JSON each, until its input ends.
T = TypeVar("T")
LINK = re.compile(r"\b(analyst|lead2?|admin)\b.*(http://\S+)")
RUNS = re.compile(r"Casewright runs at (http://\S+)")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(condition: Callable[[], T], what: str, *, seconds: float = 60) -> T:
    """The first true answer of `condition`. Fails, saying what did not happen, when there is none in time."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.2)
    return answer


class Instance:
    """Started with `start`, ended with `stop`. `links`: one-time sign-ins of a demo, by account."""

    def __init__(self, data: Path, *, demo: bool = False, **settings: str) -> None:
        self.data = data
        self._demo = demo
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if name not in {"DATABASE_URL", "REDIS_URL", "ELASTICSEARCH_URL", "DJANGO_SETTINGS_MODULE"}
        }
        self.environment |= {"CASEWRIGHT_DATA": str(data), "CASEWRIGHT_WAKE_SECONDS": "2"} | settings
        self.url = ""
        self.links: dict[str, str] = {}
        self.lines: list[str] = []
        self._asker: subprocess.Popen[str] | None = None

    def start(self) -> "Instance":
        command = [sys.executable, "manage.py", "up", "--port", str(free_port())]
        self.process = subprocess.Popen(
            [*command, "--demo"] if self._demo else command,
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            wait_for(lambda: self.url or self.process.poll() is not None, "the instance starts", seconds=300)
            assert self.url, "the instance did not start"
        except AssertionError as failure:
            self.kill()
            raise AssertionError(f"{failure}. It said:\n" + "\n".join(self.lines)) from failure
        return self

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip())
            if link := LINK.search(line):
                self.links[link[1]] = link[2]
            if runs := RUNS.search(line):
                self.url = runs[1].rstrip("/")

    def stop(self) -> int:
        """As Ctrl-C does. The status it ends with."""
        self._dismiss()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            return self.process.wait(timeout=40)
        finally:
            self.kill()

    def kill(self) -> None:
        """At once, its programs with it: an orderly end is what `tests/live/test_up.py` looks at."""
        self._dismiss()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join(timeout=5)

    def manage(self, *arguments: str, check: bool = True, seconds: float = 120) -> str:
        """What a management command of this instance prints."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def ask(self, expression: str) -> str:
        """The value of an expression over the instance's models, by a Python beside it that stays."""
        if self._asker is None:
            self._asker = subprocess.Popen(
                [sys.executable, "-m", "tests.asker"],
                cwd=ROOT,
                env={"DJANGO_SETTINGS_MODULE": "config.settings", "LOG_LEVEL": "WARNING", **self.environment},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        assert self._asker.stdin
        assert self._asker.stdout
        self._asker.stdin.write(json.dumps(expression) + "\n")
        self._asker.stdin.flush()
        answer = json.loads(self._asker.stdout.readline() or '{"error": "the asker ended"}')
        assert "value" in answer, answer["error"]
        return str(answer["value"])

    def _dismiss(self) -> None:
        """End the Python that answers `ask`."""
        if self._asker is not None:
            self._asker.kill()
            self._asker.communicate()
            self._asker = None

    @property
    def port(self) -> int:
        return urlparse(self.url).port or 0

    @cached_property
    def broker_folder(self) -> Path:
        return Path(self.ask("__import__('django.conf').conf.settings.BROKER_SOCKET.parent"))

    def processes(self) -> dict[int, str]:
        """The command lines of all processes of this instance, by its folder in their environment.

        The broker writes its title over its environment; it works in its socket's folder.
        """
        marker, broker = f"CASEWRIGHT_DATA={self.data}".encode(), self.broker_folder
        found = {}
        for folder in Path("/proc").iterdir():
            try:
                if not folder.name.isdigit():
                    continue
                is_ours = marker in (folder / "environ").read_bytes().split(b"\0")
                if is_ours or (folder / "cwd").readlink() == broker:
                    command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    found[int(folder.name)] = command
            except OSError:
                continue
        own = {os.getpid(), self._asker.pid if self._asker else 0}
        return {pid: command for pid, command in found.items() if command and pid not in own}

    def process_of(self, word: str) -> int:
        """The process whose command line has the word; of a parent and its children, the parent."""
        return min(pid for pid, command in self.processes().items() if word in command)
