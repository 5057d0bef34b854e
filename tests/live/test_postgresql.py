"""The whole way from a capture to cases on PostgreSQL, with real processes."""

import pytest

from tests.instance import Instance, wait_for
from tests.shared import shared

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def instance(postgresql, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pg") / "data"
    instance = Instance(folder, DATABASE_URL=postgresql).start()
    yield instance
    instance.kill()


def test_cases_open_and_their_pivots_run(instance):
    assert instance.ask("__import__('django.db').db.connection.vendor") == "postgresql"
    captures = [str(shared(f"telemetry/scenarios/{name}.ndjson")) for name in ("malicious", "ambiguous")]
    instance.manage("ingest", *captures, "--retime", "now")
    wait_for(lambda: instance.ask("Case.objects.count()") == "2", "2 cases open", seconds=90)
    wait_for(
        lambda: instance.ask("PivotRun.objects.filter(state__in=['not_run', 'running']).count()") == "0",
        "every pivot runs",
        seconds=90,
    )
    assert instance.ask("PivotRun.objects.filter(state='failed').count()") == "0"


def test_the_journal_can_not_be_changed(instance):
    attempt = (
        "from django.db import connection; from detections.integrity import missing_triggers;"
        " print(missing_triggers(connection));"
        " connection.cursor().execute('TRUNCATE detections_journalentry CASCADE')"
    )
    said = instance.manage("shell", "--no-imports", "--command", attempt, check=False)
    assert said.strip() == "[]"
    assert int(instance.ask("JournalEntry.objects.count()")) > 2


def test_no_migration_is_missing(instance):
    assert "[ ]" not in instance.manage("showmigrations")
