"""One server for all tests of this folder, with a front before it; or the cluster that is given."""

import shutil
import tempfile
from pathlib import Path

import pytest

from detections.eql.known import catalogue
from detections.stores.elasticsearch import Access, Cluster, Credential, ElasticsearchStore
from tests.elasticsearch.events import install_template
from tests.elasticsearch.front import Front
from tests.elasticsearch.server import Server

PATTERNS = ("logs-*", "winlogbeat-*")


@pytest.fixture(scope="session")
def server():
    """Elasticsearch 8.19 as a process; its folder must be readable by an account without rights."""
    folder = Path(tempfile.mkdtemp(prefix="casewright-es-"))
    folder.chmod(0o755)
    running = Server(folder, "8.19.0")
    try:
        running.start()
        install_template(running)
        yield running
    finally:
        running.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def front(server):
    before = Front(server.url)
    yield before
    before.stop()


def cluster_of(server, url, **options):
    """Settings with the three credentials of least privilege."""
    credentials = {access: Credential(user=access.value, password=server.password) for access in Access}
    given = {"credentials": credentials, "patterns": PATTERNS, **options}
    return Cluster((url,), **given)


@pytest.fixture
def store(server, front):
    return ElasticsearchStore(cluster_of(server, front.url), catalogue())
