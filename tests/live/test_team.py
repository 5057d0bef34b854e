"""The processes of docker/compose.yaml with its settings, without containers: PostgreSQL, Redis with a
password over TLS, two workers, beat, web, and where there is an nginx the proxy with HTTPS."""

import http.client
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys

import pytest

from tests.instance import ROOT, free_port, wait_for
from tests.redis_server import RedisServer
from tests.shared import shared
from tests.team import running_team

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def redis():
    server = RedisServer()
    yield server
    server.remove()


@pytest.fixture(scope="module")
def team(redis, tmp_path_factory):
    with running_team(tmp_path_factory.mktemp("team"), redis.url) as team:
        yield team


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
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    where = {
        "host": "127.0.0.1",
        "port": redis.port,
        "ssl": True,
        "ssl_ca_certs": str(redis.folder / "ca.crt"),
        # Not again and again: who is refused is refused.
        "retry": Retry(NoBackoff(), 0),
    }
    with pytest.raises(client.exceptions.AuthenticationError):
        client.Redis(**where).ping()
    with pytest.raises(client.exceptions.ConnectionError):
        client.Redis(
            host="127.0.0.1", port=redis.port, password="x", socket_timeout=2, retry=Retry(NoBackoff(), 0)
        ).ping()


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
