"""`manage.py up` keeps everything running, and leaves nothing behind."""

import os
import signal
import socket
import subprocess
import sys

import pytest

from tests.instance import ROOT, Instance, wait_for
from tests.shared import shared

pytestmark = pytest.mark.live
PROGRAMS = {"broker": "valkey-server", "worker": " worker ", "beat": " beat ", "web": "gunicorn"}


def running(instance: Instance) -> list[str]:
    commands = instance.processes().values()
    return [name for name, word in PROGRAMS.items() if any(word in command for command in commands)]


def occurrences(instance: Instance) -> int:
    return int(instance.ask("Occurrence.objects.count()"))


@pytest.fixture(scope="module")
def shared_instance(tmp_path_factory):
    """For tests after which everything runs again."""
    instance = Instance(tmp_path_factory.mktemp("up") / "data").start()
    yield instance
    assert instance.stop() == 0
    assert instance.processes() == {}


def test_it_runs_every_program(shared_instance):
    """That Ctrl-C ends them is seen when the last of these tests is done."""
    assert running(shared_instance) == list(PROGRAMS)


def test_the_broker_is_for_its_own_account_alone(shared_instance):
    folder = shared_instance.data / "broker"
    assert oct(folder.stat().st_mode & 0o777) == "0o700"
    assert oct((folder / "broker.sock").stat().st_mode & 0o777) == "0o700"


def test_kill_9_of_the_supervisor_leaves_no_process_and_it_starts_again(tmp_path):
    """On a path that is too long for a socket: the broker's is elsewhere, and is found again."""
    instance = Instance(tmp_path / ("long-" * 24)).start()
    assert running(instance) == list(PROGRAMS)
    assert not (instance.data / "broker").exists()
    instance.process.send_signal(signal.SIGKILL)
    instance.process.wait()
    wait_for(lambda: not instance.processes(), "every process ends", seconds=10)
    again = Instance(instance.data).start()
    assert running(again) == list(PROGRAMS)
    assert again.stop() == 0


@pytest.mark.parametrize("program", ["worker", "broker", "beat"])
def test_after_kill_9_of_a_program_the_work_goes_on_within_an_interval(shared_instance, program):
    before = occurrences(shared_instance)
    os.kill(shared_instance.process_of(PROGRAMS[program]), signal.SIGKILL)
    shared_instance.manage("ingest", str(shared("telemetry/scenarios/malicious.ndjson")), "--retime", "now")
    wait_for(lambda: occurrences(shared_instance) == before + 1, "the case gets its occurrence", seconds=90)
    wait_for(lambda: running(shared_instance) == list(PROGRAMS), "every program runs again", seconds=15)


def test_a_web_server_that_is_killed_comes_back(shared_instance):
    instance = shared_instance
    os.kill(instance.process_of("gunicorn"), signal.SIGKILL)
    wait_for(lambda: any("web" in line and "starts again" in line for line in instance.lines), "it is seen")

    def answers() -> bool:
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", instance.port)) == 0

    wait_for(answers, "the web server answers again")


def test_a_second_one_on_the_same_folder_is_refused_in_words(shared_instance):
    second = subprocess.run(
        [sys.executable, "manage.py", "up"],
        cwd=ROOT,
        env=shared_instance.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert second.returncode == 1
    assert f"Casewright already runs on {shared_instance.data}" in second.stderr
    assert shared_instance.url in second.stderr


def test_a_named_port_in_use_is_refused_in_words(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused = subprocess.run(
            [sys.executable, "manage.py", "up", "--port", str(port)],
            cwd=ROOT,
            env=os.environ | {"CASEWRIGHT_DATA": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert refused.returncode == 1
    assert f"Port {port} on 127.0.0.1 is in use" in refused.stderr
