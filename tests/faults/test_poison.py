"""F12: one poisoned event among a hundred takes nobody with it, and somebody is told."""

import json
import random
from datetime import UTC, datetime, timedelta

import pytest

from detections import schedules
from detections.enums import ImportStatus, RunTrigger
from detections.imports import import_captures
from detections.models import Alert, Import, JournalEntry, QuarantinedRecord
from detections.run import run_rules
from tests.factories.events import mshta_connection, mshta_start
from tests.factories.rules import rule
from tests.faults import number
from triage import notifications
from triage.models import Notification

POISONS = [
    b"{",
    b"[1, 2, 3]",
    b'"text"',
    b'{"event": {"category": ["process"]}}',
    b'{"@timestamp": "yesterday", "event": {"category": ["process"]}}',
    b'{"@timestamp": "2026-03-18T09:41:00"}',
    b'{"@timestamp": "9999999-01-01T00:00:00Z"}',
    b'{"@timestamp": {"deep": 1}}',
    b'{"@timestamp": "2026-03-18T09:41:00Z", "process": ' + b'{"a":' * 5000 + b"1" + b"}" * 5001,
    b'{"@timestamp": "2026-03-18T09:41:00Z", "process": {"name": "\xff\xfe"}}',
]
# What a store takes and a database may not: then a match that bears it must be stored all the same.
HARD_TEXTS = [
    "a\x00b",
    "\ud800",
    "\x1b[2J",
    "\u202egnp.exe",
    "x" * 300_000,
    "{{7*7}}",
    "'; DROP TABLE alert; --",
]


def hundred(chance, now, poison):
    """99 events, 49 matches among them, with the poison somewhere in between."""
    lines = []
    for index in range(50):
        start = now - timedelta(minutes=5) + timedelta(seconds=index)
        lines.append(mshta_start(start, entity=f"p-{index}"))
        if index:
            lines.append(mshta_connection(start + timedelta(seconds=1), entity=f"p-{index}"))
    lines = [json.dumps(line).encode() for line in lines]
    lines.insert(chance.randrange(len(lines)), poison)
    return b"\n".join(lines) + b"\n"


@pytest.mark.django_db
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("round_", range(number(3, 50)))
def test_the_other_ninety_nine_are_stored_and_searched(store, tmp_path, actor, holds, round_):
    chance, now = random.Random(round_), datetime.now(UTC)
    enabled = schedules.set_enabled(rule(enabled=False, settle_seconds=0), True, actor=actor)
    before = enabled.covered_until
    path = tmp_path / "capture.ndjson"
    path.write_bytes(hundred(chance, now, POISONS[round_ % len(POISONS)]))
    import_captures([path], store=store, actor=actor)
    assert store.statistics()["rows"] == 99
    assert QuarantinedRecord.objects.count() == 1
    enabled.refresh_from_db()
    (made, *_) = run_rules([enabled], actor=actor, trigger=RunTrigger.IMPORT)
    assert (made.status, made.alerts_new, Alert.objects.count()) == ("succeeded", 49, 49)
    enabled.refresh_from_db()
    assert enabled.covered_until > before
    assert enabled.mark == store.head()
    holds()
    # The alarm: people are told, the import says that it is partial, and so does the journal.
    capture = Import.objects.get()
    assert capture.status == ImportStatus.PARTIAL
    notifications.check(actor=actor)
    told = Notification.objects.unresolved().get(kind="quarantine_grew")
    assert told.title == f"Import {capture.pk}: 1 record can't be used"
    assert JournalEntry.objects.filter(verb__contains="import").exists()


@pytest.mark.django_db
@pytest.mark.parametrize("text", HARD_TEXTS, ids=range(len(HARD_TEXTS)))
def test_a_match_with_hostile_text_is_stored_and_stops_no_other(store, tmp_path, actor, holds, text):
    enabled = schedules.set_enabled(rule(enabled=False, settle_seconds=0), True, actor=actor)
    at = datetime.now(UTC) - timedelta(minutes=1)
    documents = []
    for entity in ("good", "hostile", "other"):
        start = mshta_start(at, entity=entity)
        if entity == "hostile":
            start["process"]["command_line"] = text
        documents += [start, mshta_connection(at + timedelta(seconds=1), entity=entity)]
    path = tmp_path / "capture.ndjson"
    path.write_text("".join(json.dumps(one) + "\n" for one in documents))
    import_captures([path], store=store, actor=actor)
    enabled.refresh_from_db()
    (made, *_) = run_rules([enabled], actor=actor, trigger=RunTrigger.IMPORT)
    assert (made.status, made.error) == ("succeeded", "")
    # A lone surrogate is no text: such a record is quarantined, and counted.
    assert Alert.objects.count() + QuarantinedRecord.objects.count() == 3
    holds()
