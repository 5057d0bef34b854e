"""Starts programs, shows what they say, restarts those that end, and leaves none behind.

One thread only: a child that the kernel ties to its parent is tied to the thread that made it, and forking
from several threads is not safe.
"""

import contextlib
import ctypes
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, TextIO

BACK_OFF_SECONDS = (1, 2, 4, 8, 15, 30)
STEADY_SECONDS = 60
STOP_SECONDS = 10
PR_SET_PDEATHSIG = 1


class ProgramFailedError(Exception):
    """A program that had to succeed did not; what it said is on the terminal already."""


@dataclass(frozen=True, slots=True)
class Program:
    """What to run. is_ready: asked until it says yes, for at most ready_seconds."""

    name: str
    command: Sequence[str]
    is_ready: Callable[[], bool] | None = None
    ready_seconds: float = 30


@dataclass(slots=True)
class _Running:
    program: Program
    process: "subprocess.Popen[bytes]"
    started_at: float
    failures: int = 0
    restart_at: float | None = None
    unfinished: bytes = field(default=b"")


def _tie_to(parent: int) -> Callable[[], None]:
    """For a child on Linux, before it becomes its program: the kernel kills it when the parent dies."""
    libc = ctypes.CDLL(None, use_errno=True)

    def tie() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died meanwhile
            os._exit(1)

    return tie


class Supervisor:
    """Runs programs until `stop` is called or a signal to stop comes."""

    def __init__(self, *, environment: Mapping[str, str], out: TextIO = sys.stdout) -> None:
        self._environment = dict(environment)
        self._out = out
        self._running: dict[str, _Running] = {}
        self._outputs = selectors.DefaultSelector()
        self.is_stopping = False

    def stop_on_signals(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)

    def _on_signal(self, _number: int, _frame: object) -> None:
        if self.is_stopping:  # asked twice: at once
            self._signal_all(signal.SIGKILL)
        self.is_stopping = True

    def say(self, text: str = "", *, name: str = "") -> None:
        """A line on the terminal, with the name of the program it comes from."""
        self._out.write(f"{name:<7}| {text}\n" if name else f"{text}\n")
        self._out.flush()

    def run(self, program: Program) -> None:
        """Run to the end. Raises ProgramFailedError on any status but 0, or when stopped meanwhile."""
        running = self._spawn(program)
        while running.process.poll() is None and not self.is_stopping:
            self._show_output(0.1)
        if running.process.poll() is None:
            self._end(running)
        self._drain(running)
        if running.process.returncode != 0 and not self.is_stopping:
            raise ProgramFailedError(f"{program.name} ended with status {running.process.returncode}.")

    def start(self, program: Program) -> None:
        """Start and keep running; returns once it is ready. Raises ProgramFailedError if it never is."""
        self._running[program.name] = self._spawn(program)
        deadline = time.monotonic() + program.ready_seconds
        while program.is_ready and not self.is_stopping and not program.is_ready():
            self._look_after(0.1)
            if time.monotonic() > deadline:
                raise ProgramFailedError(f"{program.name} was not ready in {program.ready_seconds:.0f} s.")

    def watch(self) -> None:
        """Show output and restart what ends, until stopped."""
        while not self.is_stopping:
            self._look_after(0.25)

    def stop(self) -> None:
        """End every program, the last one started first; whatever does not end in time is killed."""
        self.is_stopping = True
        for running in reversed(list(self._running.values())):
            self._end(running)
            self._drain(running)
        self._running.clear()

    def _spawn(self, program: Program, *, failures: int = 0) -> _Running:
        is_linux = sys.platform == "linux"
        guard = () if is_linux else (sys.executable, "-m", "config.guard")
        process = subprocess.Popen(  # noqa: S603 -- our own programs
            [*guard, *program.command],
            env=self._environment,
            stdin=subprocess.DEVNULL if is_linux else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # The terminal's Ctrl-C reaches the supervisor alone, which then stops them in order.
            start_new_session=True,
            preexec_fn=_tie_to(os.getpid()) if is_linux else None,  # noqa: PLW1509 -- one thread only
        )
        running = _Running(program, process, time.monotonic(), failures)
        os.set_blocking(_output(process).fileno(), False)
        self._outputs.register(_output(process), selectors.EVENT_READ, running)
        return running

    def _look_after(self, seconds: float) -> None:
        self._show_output(seconds)
        for running in list(self._running.values()):
            if running.process.poll() is not None:
                self._restart(running)

    def _restart(self, running: _Running) -> None:
        now = time.monotonic()
        if running.restart_at is None:
            steady = now - running.started_at > STEADY_SECONDS
            running.failures = 0 if steady else running.failures
            pause = BACK_OFF_SECONDS[min(running.failures, len(BACK_OFF_SECONDS) - 1)]
            running.restart_at = now + pause
            self._drain(running)
            ended = running.process.returncode
            self.say(f"ended with status {ended}; it starts again in {pause} s.", name=running.program.name)
            _kill_group(running.process)  # what the program itself left running
        elif now >= running.restart_at:
            self._running[running.program.name] = self._spawn(running.program, failures=running.failures + 1)

    def _show_output(self, seconds: float) -> None:
        if not self._outputs.get_map():
            time.sleep(seconds)
        for key, _events in self._outputs.select(seconds):
            self._read(key.data)

    def _read(self, running: _Running) -> bool:
        """Show the lines that are there; False when there is nothing more to come."""
        output = _output(running.process)
        try:
            chunk = os.read(output.fileno(), 65536)
        except BlockingIOError:
            return False
        *lines, running.unfinished = (running.unfinished + chunk).split(b"\n")
        if not chunk:
            self._outputs.unregister(output)
            output.close()
            lines, running.unfinished = [running.unfinished], b""
        for line in lines:
            if line.strip():
                self.say(line.decode(errors="backslashreplace").rstrip(), name=running.program.name)
        return bool(chunk)

    def _drain(self, running: _Running) -> None:
        while not _output(running.process).closed and self._read(running):
            pass
        if not _output(running.process).closed:
            self._outputs.unregister(_output(running.process))
            _output(running.process).close()

    def _end(self, running: _Running) -> None:
        if running.process.poll() is None:
            running.process.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        while running.process.poll() is None and time.monotonic() < deadline:
            self._show_output(0.1)
        _kill_group(running.process)
        running.process.wait()

    def _signal_all(self, number: signal.Signals) -> None:
        for running in self._running.values():
            if running.process.poll() is None:
                running.process.send_signal(number)


def _output(process: "subprocess.Popen[bytes]") -> IO[bytes]:
    assert process.stdout is not None
    return process.stdout


def _kill_group(process: "subprocess.Popen[bytes]") -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
