"""Set-up of every test: a data folder of its own, a real event store, and a named cast."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.auth.models import Group, User
from xdist.scheduler import LoadScopeScheduling

from detections.actors import Actor, of_user, system
from tests.shared import shared

DATA = pytest.StashKey[Path]()
# The longest of the live tests; those of a line share a server or a demo, and run in its order.
LONGEST = (
    ("tests/elasticsearch/",),
    # The last one adds days to the demo.
    ("tests/e2e/test_demo.py", "tests/e2e/test_stories.py", "tests/e2e/test_exceptions.py"),
    ("tests/e2e/test_response.py",),
    ("tests/live/test_up.py",),
    ("tests/faults/test_kills.py",),
)


def pytest_configure(config):
    """Point data, database and broker at a temporary folder, before anything opens them."""
    folder = Path(tempfile.mkdtemp(prefix="casewright-test-"))
    config.stash[DATA] = folder
    os.environ["CASEWRIGHT_DATA"] = str(folder)
    # Playwright's loop runs in this thread as long as a browser is open, beside tests of the database.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    settings.DATA_DIR = folder
    settings.EVENTS_DIR = folder / "events"
    settings.UPLOADS_DIR = folder / "uploads"
    settings.STATIC_ROOT = folder / "static"
    settings.STATIC_ROOT.mkdir()
    settings.CELERY_BROKER_URL = "memory://"
    # It names the cluster of tests/elasticsearch, and those tests alone.
    settings.ELASTICSEARCH_URL = ""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    database = settings.DATABASES["default"]
    if database["ENGINE"].endswith("sqlite3"):
        database["TEST"]["NAME"] = str(folder / "test.sqlite3")


def pytest_collection_modifyitems(items):
    """Mark what touches the database: `make test` runs that on PostgreSQL too. What takes longest goes
    first, so that no core waits for the other at the end."""
    items.sort(key=lambda item: (turn := _turn(item.nodeid), _place(item.nodeid, turn)))
    for item in items:
        asks_for = {"db", "transactional_db", "live_server", "django_db_setup"} & set(item.fixturenames)
        if asks_for or item.get_closest_marker("django_db"):
            item.add_marker(pytest.mark.db)


def _turn(nodeid):
    return next((turn for turn, paths in enumerate(LONGEST) if nodeid.startswith(paths)), len(LONGEST))


def _place(nodeid, turn):
    """Which of its line's."""
    line = LONGEST[turn] if turn < len(LONGEST) else ()
    return next((place for place, path in enumerate(line) if nodeid.startswith(path)), 0)


class ByServer(LoadScopeScheduling):
    """Hands each core a file after another; files that share a server or a demo go to the same core, so
    that it starts once."""

    def _split_scope(self, nodeid):
        turn = _turn(nodeid)
        return str(LONGEST[turn]) if turn < len(LONGEST) else nodeid.split("::", 1)[0]


def pytest_xdist_make_scheduler(config, log):
    return ByServer(config, log)


def pytest_unconfigure(config):
    shutil.rmtree(config.stash.get(DATA, "/nonexistent"), ignore_errors=True)


@pytest.fixture(autouse=True)
def event_folder(tmp_path, settings):
    """Each test has an event store of its own, empty at first."""
    settings.EVENTS_DIR = tmp_path / "events"
    settings.UPLOADS_DIR = tmp_path / "uploads"
    return settings.EVENTS_DIR


@pytest.fixture
def store(db, event_folder):
    """The product's own embedded store, in a temporary folder."""
    from detections.event_store import event_store

    return event_store()


@pytest.fixture
def captures() -> Path:
    return shared("telemetry/captures")


@pytest.fixture
def scenarios() -> Path:
    return shared("telemetry/scenarios")


def person(username: str, *groups: str) -> User:
    """An account in the named groups; its password is its name."""
    user = User.objects.create_user(username, password=username, first_name=username.title())
    user.groups.set(Group.objects.filter(name__in=groups))
    return user


@pytest.fixture
def ana(db) -> User:
    """An analyst."""
    return person("ana", "Analyst")


@pytest.fixture
def lin(db) -> User:
    """A lead."""
    return person("lin", "Lead")


@pytest.fixture
def adi(db) -> User:
    """An admin."""
    user = person("adi", "Admin")
    user.is_staff = True
    user.save(update_fields=["is_staff"])
    return user


@pytest.fixture
def otto(db) -> User:
    """An outsider: signed in, in no group, and must see nothing."""
    return person("otto")


@pytest.fixture
def analyst(ana) -> Actor:
    return of_user(ana)


@pytest.fixture
def lead(lin) -> Actor:
    return of_user(lin)


@pytest.fixture
def admin(adi) -> Actor:
    return of_user(adi)


@pytest.fixture
def outsider(otto) -> Actor:
    return of_user(otto)


@pytest.fixture
def product() -> Actor:
    """The product itself."""
    return system("test")
