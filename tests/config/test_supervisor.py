"""Programs are started, shown, restarted and ended."""

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from config import supervisor as supervision
from config.supervisor import Program, ProgramFailedError, Supervisor

ROOT = Path(__file__).resolve().parents[2]


def script(name: str, text: str, **rest) -> Program:
    return Program(name, [sys.executable, "-c", text], **rest)


def sleeper(pid_file: Path) -> str:
    """A program that leaves its process id and stays."""
    leave = f"pathlib.Path({str(pid_file)!r}).write_text(str(os.getpid()))"
    return f"import os, pathlib, time; {leave}; time.sleep(60)"


@pytest.fixture
def out():
    return io.StringIO()


@pytest.fixture
def supervisor(out, monkeypatch):
    monkeypatch.setattr(supervision, "BACK_OFF_SECONDS", (0,))
    supervisor = Supervisor(environment=dict(os.environ), out=out)
    yield supervisor
    supervisor.stop()


def wait_for(condition, *, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def test_lines_carry_the_name_of_their_program(supervisor, out):
    supervisor.run(script("demo", "print('one'); print('two', end='')"))
    assert out.getvalue() == "demo   | one\ndemo   | two\n"


def test_a_program_that_must_succeed_and_does_not_is_an_error(supervisor):
    with pytest.raises(ProgramFailedError, match="migrate ended with status 3"):
        supervisor.run(script("migrate", "raise SystemExit(3)"))


def test_a_program_that_is_never_ready_is_an_error(supervisor):
    with pytest.raises(ProgramFailedError, match="web was not ready"):
        supervisor.start(
            script("web", "import time; time.sleep(60)", is_ready=lambda: False, ready_seconds=0.2)
        )


def test_a_program_that_ends_is_started_again(supervisor, out):
    supervisor.start(
        script(
            "worker", "print('here')", is_ready=lambda: out.getvalue().count("| here") >= 2, ready_seconds=10
        )
    )
    assert "worker | ended with status 0; it starts again in 0 s." in out.getvalue()


def test_stop_ends_a_program_that_does_not_listen_and_what_it_started(supervisor, tmp_path, monkeypatch):
    monkeypatch.setattr(supervision, "STOP_SECONDS", 0.3)
    pids = tmp_path / "pids"
    deaf = (
        "import os, pathlib, signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        f"pathlib.Path({str(pids)!r}).write_text(f'{{os.getpid()}} {{child.pid}}')\n"
        "time.sleep(60)"
    )
    supervisor.start(script("deaf", deaf, is_ready=pids.exists))
    wait_for(pids.read_text)
    supervisor.stop()
    wait_for(lambda: not any(is_alive(int(pid)) for pid in pids.read_text().split()))


def test_the_guard_ends_its_program_when_the_other_end_closes(tmp_path):
    pid_file = tmp_path / "pid"
    guard = subprocess.Popen(
        [sys.executable, "-m", "config.guard", sys.executable, "-c", sleeper(pid_file)],
        stdin=subprocess.PIPE,
        cwd=ROOT,
    )
    wait_for(lambda: pid_file.exists() and pid_file.read_text())
    guard.stdin.close()
    guard.wait(timeout=10)
    wait_for(lambda: not is_alive(int(pid_file.read_text())))


def test_the_guard_hands_on_how_its_program_ended():
    command = [sys.executable, "-m", "config.guard", sys.executable, "-c", "raise SystemExit(7)"]
    guard = subprocess.Popen(command, stdin=subprocess.PIPE, cwd=ROOT)
    assert guard.wait(timeout=20) == 7


def is_alive(pid: int) -> bool:
    """Whether the process runs; one that has ended and was not yet collected does not."""
    try:
        state = subprocess.run(
            ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
        )
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return not state.stdout.strip().startswith("Z")


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel ends orphans on Linux alone")
def test_kill_9_of_the_supervisor_ends_its_programs(tmp_path):
    pid_file = tmp_path / "pid"
    parent_text = (
        "import os, sys\n"
        "from config.supervisor import Program, Supervisor\n"
        "supervisor = Supervisor(environment=dict(os.environ))\n"
        f"supervisor.start(Program('sleeper', [sys.executable, '-c', {sleeper(pid_file)!r}]))\n"
        "supervisor.watch()\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", parent_text], cwd=ROOT)
    wait_for(lambda: pid_file.exists() and pid_file.read_text())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    wait_for(lambda: not is_alive(int(pid_file.read_text())))
