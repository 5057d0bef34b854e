"""Signed-in clients."""

import pytest


@pytest.fixture(autouse=True)
def static_files(settings):
    """Whitenoise warns of a folder that only a start makes."""
    settings.STATIC_ROOT.mkdir(exist_ok=True)


@pytest.fixture
def as_analyst(client, ana):
    client.force_login(ana)
    return client


@pytest.fixture
def as_admin(client, adi):
    client.force_login(adi)
    return client
