"""What admins may set of connectors and kinds of action, and where secrets come from."""

import re

import pytest

from detections.actors import NotPermittedError
from tests.factories.actions import connect
from triage.actions.adapter import ConnectorFaultError
from triage.errors import TriageError
from triage.models import (
    Connector,
)
from triage.response import connectors

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"adapter": "fax"}, "There is no adapter 'fax'"),
        ({"config": {"uri": "x"}}, "has no setting 'uri'"),
        ({"secrets": {"signing_key": "hunter2"}}, "the secret itself is never typed in here"),
        ({"secrets": {"signing_key": "SECRET_KEY"}}, "names the environment variable"),
        ({"config": []}, "are JSON objects"),
    ],
)
def test_settings_that_can_not_work_are_refused(change, says, admin):
    connector = Connector(key="w", name="W", adapter="webhook", config={"url": "https://a.example/"})
    for name, value in change.items():
        setattr(connector, name, value)
    with pytest.raises(ConnectorFaultError, match=re.escape(says)):
        connectors.save(connector, actor=admin)


def test_only_admins_change_connectors(lead):
    with pytest.raises(NotPermittedError):
        connectors.save(Connector(key="w", name="W", adapter="manual"), actor=lead)


def test_a_secret_comes_from_the_environment_or_a_file_and_is_kept_nowhere(monkeypatch, tmp_path, admin):
    with pytest.raises(ConnectorFaultError, match="CONNECTOR_X is not set where the worker runs"):
        connectors.secret("CONNECTOR_X")
    (tmp_path / "key").write_text("from-the-file\n")
    monkeypatch.setenv("CONNECTOR_X_FILE", str(tmp_path / "key"))
    assert connectors.secret("CONNECTOR_X") == "from-the-file"
    connector = Connector(key="w", name="W", adapter="webhook", config={"url": "https://a.example/"})
    connector.secrets = {"signing_key": "CONNECTOR_X"}
    connectors.save(connector, actor=admin)
    found = connectors.test(connector, actor=admin)
    assert "a.example:443 is not listed" in found.says
    from detections.models import JournalEntry

    assert "from-the-file" not in str(list(JournalEntry.objects.values())) + str(Connector.objects.values())


def test_a_destructive_kind_always_needs_another_person(admin):
    from triage.response.kinds import kind_of
    from triage.response.settings import save_kind

    kind = kind_of("kill_process")
    kind.needs_approval = False
    with pytest.raises(TriageError, match="another person always decides"):
        save_kind(kind, actor=admin)


@pytest.mark.parametrize("key", ["preserve_evidence", "watch_entity"])
def test_what_the_product_does_itself_takes_no_connector(admin, key):
    from triage.response.kinds import kind_of
    from triage.response.settings import save_kind

    connect(key, "webhook", {"url": "https://a.example/"})
    kind = kind_of(key)
    with pytest.raises(TriageError, match="Casewright does this itself: leave the connector empty") as told:
        save_kind(kind, actor=admin)
    assert ("go through the connector of Collect a file" in str(told.value)) == (key == "preserve_evidence")
