"""The journal: chained, append-only, one entry a change."""

import pytest
from django.db import DatabaseError, connection, transaction
from django.db.transaction import TransactionManagementError

from detections import integrity, journal
from detections.actors import system
from detections.models import JournalEntry, JournalStream

pytestmark = pytest.mark.django_db
ACTOR = system("test")


def add(*verbs: str, stream: str = "case:1") -> list[JournalEntry]:
    with transaction.atomic():
        return [journal.record(stream, verb, actor=ACTOR, before="open", after="closed") for verb in verbs]


def forge(sql: str) -> None:
    """Change the table as somebody would who may remove the triggers."""
    integrity.remove(connection)
    with connection.cursor() as cursor:
        cursor.execute(sql)
    integrity.install(connection)


def test_entries_are_numbered_and_chained_a_stream() -> None:
    first, second = add("opened", "assigned")
    (other,) = add("opened", stream="case:2")
    assert [first.number, second.number, other.number] == [1, 2, 1]
    assert second.previous_hash == first.hash
    assert [journal.verify(stream) for stream in JournalStream.objects.all()] == [[], []]


@pytest.mark.django_db(transaction=True)
def test_an_entry_outside_of_a_transaction_is_refused() -> None:
    with pytest.raises(TransactionManagementError):
        journal.record("case:1", "opened", actor=ACTOR)
    assert JournalEntry.objects.count() == 0


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE detections_journalentry SET reason = 'x'",
        "DELETE FROM detections_journalentry",
        "INSERT OR REPLACE INTO detections_journalentry SELECT * FROM detections_journalentry",
    ],
)
def test_the_database_refuses_to_change_an_entry(statement: str) -> None:
    if connection.vendor != "sqlite" and "REPLACE" in statement:
        # With checks put off to the commit it would be refused for them, whatever the trigger does.
        statement = "SET CONSTRAINTS ALL IMMEDIATE; TRUNCATE detections_journalentry"
    add("opened")
    with (
        pytest.raises(DatabaseError, match="append-only"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)
    assert JournalEntry.objects.get().reason == ""


def test_verify_takes_no_entry_that_came_meanwhile_for_a_missing_end() -> None:
    add("opened")
    stream = JournalStream.objects.get()
    add("assigned")
    assert journal.verify(stream) == []
    add("closed")
    forge("UPDATE detections_journalentry SET reason = 'x' WHERE number = 2")
    assert journal.verify(stream) == ["case:1: entry 2 was changed."]


@pytest.mark.parametrize(
    ("sql", "fault"),
    [
        ("UPDATE detections_journalentry SET reason = 'forged' WHERE number = 2", "entry 2 was changed."),
        ("DELETE FROM detections_journalentry WHERE number = 3", "the end of the chain is missing."),
        ("DELETE FROM detections_journalentry WHERE number = 1", "entry 1 is missing."),
    ],
)
def test_verify_finds_what_was_forged(sql: str, fault: str) -> None:
    add("opened", "assigned", "closed")
    forge(sql)
    faults = journal.verify(JournalStream.objects.get())
    assert f"case:1: {fault}" in faults


def test_missing_triggers_are_named() -> None:
    assert integrity.missing_triggers(connection) == []
    integrity.remove(connection)
    assert integrity.missing_triggers(connection) != []
    integrity.install(connection)
