"""One server for all tests of this folder, with a front before it; or the cluster that is given."""

import shutil
import tempfile
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from detections import run, schedules
from detections.actors import system
from detections.enums import RunTrigger
from detections.eql.known import catalogue
from detections.event_store import cluster_store
from detections.stores.elasticsearch import Access, Cluster, Credential, ElasticsearchStore
from detections.stores.elasticsearch.streams import templates
from tests.elasticsearch.events import admin, fill, install_template
from tests.elasticsearch.front import Front
from tests.elasticsearch.given import URL, Given
from tests.elasticsearch.security import Security
from tests.elasticsearch.server import Server
from tests.factories.rules import rule as make_rule

PATTERNS = ("logs-*", "winlogbeat-*")
ACTOR = system("test")
NO_CREDENTIAL = {"api_key": "", "bearer": "", "user": "", "password": ""}


def serve(version):
    """A server of this version, in a folder that an account without rights can read."""
    folder = Path(tempfile.mkdtemp(prefix="casewright-es-"))
    folder.chmod(0o755)
    running = Server(folder, version)
    try:
        running.start()
        install_template(running)
        # A stream keeps the mapping that it was made with, and all tests share it.
        for name, template in templates().items():
            admin(running, "PUT", f"/_index_template/{name}", template)
        yield running
    finally:
        running.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def server():
    """Elasticsearch 8.19, or the cluster that ELASTICSEARCH_URL names."""
    if not URL:
        yield from serve("8.19.0")
        return
    given = Given()
    given.start()
    install_template(given)
    yield given
    given.stop()


@pytest.fixture
def front(server):
    before = Front(server.url, native=server.native)
    yield before
    before.stop()


def cluster_of(server, url, **options):
    """Settings with the credentials of least privilege."""
    given = {"credentials": credentials_of(server), "patterns": PATTERNS, **options}
    return Cluster((url,), **given)


def credentials_of(server):
    return {access: Credential(user=access.value, password=server.password) for access in Access}


@pytest.fixture
def store(server, front):
    return ElasticsearchStore(cluster_of(server, front.url), catalogue())


class Deployment:
    """The product over the server: rules run and pivots search what is in a data stream of the test's own.

    Time is `now`, hours ago; each run is five minutes after the one before.
    """

    def __init__(self, server, front):
        self.server, self.front = server, front
        self.name = uuid.uuid4().hex
        self.stream = f"logs-t{self.name}-default"
        self.now = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=4)
        self.count = 0
        # So that the pattern has an index.
        self.fill({"@timestamp": (self.now - timedelta(days=9)).isoformat(), "event": {"category": ["host"]}})

    @property
    def store(self):
        return cluster_store()

    def rule(self, **fields):
        made = make_rule(fields.pop("rule_id", self.name), enabled=False, lookback_seconds=600, **fields)
        return schedules.set_enabled(made, True, actor=ACTOR, now=self.now)

    def fill(self, *documents):
        for document in documents:
            self.count += 1
            fill(self.server, self.stream, [(f"{self.name}-{self.count}", document)])

    def run(self, *rules, minutes=5):
        self.now += timedelta(minutes=minutes)
        return run.run_rules(rules, actor=ACTOR, trigger=RunTrigger.SCHEDULE, now=self.now)


@pytest.fixture
def deployment(server, front, settings, db, monkeypatch):
    """The settings name the cluster behind the front."""
    monkeypatch.setattr("detections.stores.elasticsearch.connection.PAUSES_SECONDS", (0.01, 0.02))
    use(settings, server, front.url)
    found = Deployment(server, front)
    settings.ELASTICSEARCH_INDICES = [f"logs-t{found.name}-*"]
    return found


def use(settings, server, url):
    """Make the settings name a cluster, with a credential for each access."""
    settings.ELASTICSEARCH_URL = url
    settings.ELASTICSEARCH_CREDENTIALS = {
        "all": NO_CREDENTIAL,
        "setup": {**NO_CREDENTIAL, "user": "casewright_tests", "password": server.password},
        **{
            access.value: {**NO_CREDENTIAL, "user": access.value, "password": server.password}
            for access in Access
        },
    }


@pytest.fixture
def security(server, front, settings):
    made = Security(server, uuid.uuid4().hex)
    settings.ELASTICSEARCH_URL = front.url
    settings.ELASTICSEARCH_ALERTS_INDEX = (
        ".alerts-security.alerts-" + made.alias.rpartition("-")[2][:20] + "*"
    )
    settings.ELASTICSEARCH_CREDENTIALS = {
        access: {"api_key": "", "bearer": "", "user": access, "password": server.password}
        for access in ("detect", "pivot", "canary")
    } | {
        # Writing back needs rights that copies of alerts do not.
        "write": {"api_key": "", "bearer": "", "user": "write_back", "password": server.password},
        "all": {"api_key": "", "bearer": "", "user": "", "password": ""},
    }
    return made
