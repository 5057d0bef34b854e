"""The processes of docker/compose.yaml with its settings, without containers: PostgreSQL, Redis with a
password over TLS, two workers, beat, web, and where there is an nginx the proxy with HTTPS."""

import http.client
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
import yaml

from tests.instance import ROOT, free_port, wait_for
from tests.postgresql import FAST, PostgreSQL
from tests.redis_server import RedisServer
from tests.shared import shared

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]
COMPOSE = ROOT / "docker/compose.yaml"
WEB = re.findall(r"^CMD (\[.*\])$", (ROOT / "docker/Dockerfile").read_text(), re.M)[0]


class Team:
    """What profile `team` starts, as processes of this machine. Secrets are files, as there."""

    def __init__(self, folder: Path, database: str, broker: str) -> None:
        self.services = yaml.safe_load(COMPOSE.read_text())["services"]
        self.folder, self.port, self.database = folder, free_port(), database
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
        from_env_file = {"ALLOWED_HOSTS": "localhost,127.0.0.1", "CASEWRIGHT_WAKE_SECONDS": "2"}
        ours = {"CASEWRIGHT_DATA": str(self.folder / "data"), "DJANGO_SETTINGS_MODULE": "config.settings"}
        return {**kept, **from_env_file, **ours, **said, "CASEWRIGHT_PORT": str(self.port)}

    def command(self, name: str, *more: str) -> list[str]:
        written = self.services[name].get("command") or yaml.safe_load(WEB)
        return [part.replace("0.0.0.0:8000", f"127.0.0.1:{self.port}") for part in written] + list(more)

    def run(self, service: str, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command or self.command(service), cwd=ROOT, env=self.environment(service), capture_output=True,
            text=True, timeout=120, check=False,
        )  # fmt: skip

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


@pytest.fixture(scope="module")
def redis():
    server = RedisServer()
    yield server
    server.remove()


@pytest.fixture(scope="module")
def team(redis, tmp_path_factory):
    database = PostgreSQL(**FAST)
    team = Team(tmp_path_factory.mktemp("team"), database.new_database(), redis.url)
    try:
        prepared = team.run("prepare")
        assert prepared.returncode == 0, prepared.stderr
        team.start("web", "web")
        for number in range(team.services["worker"]["deploy"]["replicas"]):
            team.start(f"worker{number}", "worker", "--hostname", f"celery{number}@{socket.gethostname()}")
        team.start("beat", "beat")
        wait_for(lambda: team.check("web"), "the web server answers", seconds=60)
        yield team
    finally:
        team.stop()
        database.remove()


def test_a_capture_becomes_a_case_and_its_pivots_run(team):
    path = str(shared("telemetry/scenarios/malicious.ndjson"))
    done = team.run("worker", sys.executable, "manage.py", "ingest", path, "--retime", "now")
    assert done.returncode == 0, done.stderr
    wait_for(lambda: team.count("triage_case") == 1, "the case opens", seconds=120)
    unfinished = "triage_pivotrun WHERE state IN ('not_run', 'running')"
    wait_for(lambda: team.count(unfinished) == 0, "its pivots run", seconds=120)
    assert team.count("triage_pivotrun WHERE state = 'failed'") == 0


def test_each_health_check_says_so(team):
    assert team.check("web")
    assert team.check("beat")
    assert team.check("worker", CELERY_NODE=f"celery0@{socket.gethostname()}")
    assert not team.check("worker", CELERY_NODE=f"celery9@{socket.gethostname()}")


def test_readiness_is_told_over_http(team):
    def ready() -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", team.port, timeout=10)
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200

    wait_for(ready, f"it is ready:\n{team.said()}", seconds=90)


def test_a_worker_and_the_broker_may_die(team, redis):
    os.killpg(team.processes["worker0"].pid, signal.SIGKILL)
    redis.stop()
    redis.start()
    path = str(shared("telemetry/scenarios/benign.ndjson"))
    before = team.count("triage_case")
    assert team.run("web", sys.executable, "manage.py", "ingest", path, "--retime", "now").returncode == 0
    wait_for(lambda: team.count("triage_case") > before, "the case opens", seconds=120)


def test_the_broker_takes_no_stranger(team, redis):
    import redis as client

    where = {
        "host": "127.0.0.1",
        "port": redis.port,
        "ssl": True,
        "ssl_ca_certs": str(redis.folder / "ca.crt"),
    }
    with pytest.raises(client.exceptions.AuthenticationError):
        client.Redis(**where).ping()
    with pytest.raises(client.exceptions.ConnectionError):
        client.Redis(host="127.0.0.1", port=redis.port, password="x", socket_timeout=2).ping()


@pytest.fixture(scope="module")
def proxy(team, tmp_path_factory):
    """docker/nginx.conf, with the paths and ports of this machine."""
    program = shutil.which("nginx")
    if program is None:
        pytest.skip("nginx is not installed")
    folder = tmp_path_factory.mktemp("proxy")
    shutil.copy(ROOT / "docker/make-secrets.sh", folder)
    subprocess.run(["sh", str(folder / "make-secrets.sh"), "localhost"], check=True)
    tls, plain = free_port(), free_port()
    text = (ROOT / "docker/nginx.conf").read_text()
    for old, new in {
        "/tmp/": f"{folder}/",
        "/run/secrets": str(folder / "secrets"),
        "listen 8443": f"listen 127.0.0.1:{tls}",
        "listen 8080": f"listen 127.0.0.1:{plain}",
        "web:8000": f"127.0.0.1:{team.port}",
    }.items():
        assert old in text
        text = text.replace(old, new)
    (folder / "nginx.conf").write_text(text)
    command = [program, "-c", str(folder / "nginx.conf"), "-p", str(folder), "-g", "daemon off;"]
    process = subprocess.Popen(command, start_new_session=True)
    try:
        wait_for(lambda: socket.socket().connect_ex(("127.0.0.1", tls)) == 0, "nginx answers", seconds=20)
        yield tls, plain, folder / "secrets" / "ca.crt"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=20)


def test_the_proxy_speaks_https_and_the_product_knows(proxy):
    tls, plain, authority = proxy
    context = ssl.create_default_context(cafile=authority)
    connection = http.client.HTTPSConnection("localhost", tls, context=context, timeout=20)
    connection.request("GET", "/")
    answer = connection.getresponse()
    assert answer.status == 302
    assert answer.getheader("Strict-Transport-Security") == "max-age=31536000"
    connection = http.client.HTTPConnection("localhost", plain, timeout=20)
    connection.request("GET", "/x")
    answer = connection.getresponse()
    assert (answer.status, answer.getheader("Location")) == (308, "https://localhost/x")
