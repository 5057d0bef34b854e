"""A demo with real broker, worker and beat, and a browser that looks at it."""

import pytest

from tests.e2e.browser import SWITCHES, Faults, chromium, sign_in
from tests.instance import Instance


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args):
    path = chromium()
    if path is None:
        pytest.skip("Chromium is not installed (Debian: apt-get install chromium)")
    return browser_type_launch_args | {"executable_path": path, "args": SWITCHES}


@pytest.fixture(scope="session")
def browser_context_args(browser_context_args):
    return browser_context_args | {"viewport": {"width": 1440, "height": 900}}


@pytest.fixture(scope="session")
def demo(tmp_path_factory):
    instance = Instance(tmp_path_factory.mktemp("demo") / "data", demo=True).start()
    yield instance
    instance.kill()


@pytest.fixture(scope="session")
def empty(tmp_path_factory):
    instance = Instance(tmp_path_factory.mktemp("empty") / "data").start()
    yield instance
    instance.kill()


@pytest.fixture
def watched(page, demo):
    """A page on the demo that fails the test if it errs, is refused content, or asks anybody else."""
    faults = Faults(page, demo.url)
    yield page
    assert faults.found == []


@pytest.fixture
def analyst(watched, demo):
    """The demo's analyst, signed in and at the queue."""
    sign_in(watched, demo, "analyst")
    return watched
