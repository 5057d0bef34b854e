"""Each invariant, broken on purpose behind the product's back, is named with what is wrong."""

from datetime import timedelta
from io import BytesIO, StringIO

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.utils import timezone

from detections import broker, heartbeat, integrity, invariants, memory, outbox, schedules
from detections.enums import OutboxState, RunStatus, RunTrigger
from detections.models import Alert, CoveredWindow, JournalEntry, OutboxRow, Rule, RuleRun
from tests.factories.actions import approved, scripted
from tests.factories.cases import ACTOR, detect
from tests.factories.events import attack, mapped
from tests.factories.exceptions import active
from tests.factories.rules import SEQUENCE, rule
from triage import attachments
from triage.models import (
    Attachment,
    Case,
    CaseMerge,
    Evidence,
    ExceptionVersion,
    Occurrence,
    Question,
    ResponseAction,
    Suppression,
)

pytestmark = pytest.mark.django_db


def make_world(store, analyst, lead):
    """Two cases of one rule with an approved action, a file and an exception that hides neither."""
    found = rule(query=SEQUENCE, enabled=False, settle_seconds=0)
    found = schedules.set_enabled(found, True, actor=ACTOR)
    scripted()
    at = timezone.now() - timedelta(minutes=2)
    for host in ("host-1", "host-2"):
        store.append(mapped(*attack(at, host=host, entity=host)), batch=host)
    case, _other = detect(found)
    approved(case, analyst, lead)
    outbox.drain()
    attachments.attach(case, name="memory.txt", content=BytesIO(b"as it was"), actor=analyst)
    active(found, by=analyst, approver=lead)


def first_alert():
    return Alert.objects.earliest("pk")


def unroute():
    Occurrence.objects.all().delete()


def forget_the_way():
    Alert.objects.update(routed_at=None)


def another_id():
    Alert.objects.filter(pk=first_alert().pk).update(alert_id="0" * 64)


def miscount():
    Case.objects.update(occurrence_count=7)


def merge_on_paper():
    one, other = Case.objects.order_by("pk")
    CaseMerge.objects.create(
        source=one,
        target=other,
        reason="x",
        status_before="open",
        made_at=timezone.now(),
        made_by=User.objects.earliest("pk"),
    )


def hide_unapproved():
    ExceptionVersion.objects.update(reason="Another one.")
    Suppression.objects.create(alert=first_alert(), version=ExceptionVersion.objects.get(), at=timezone.now())


def uncover():
    CoveredWindow.objects.all().delete()


def fail_the_run_before_the_mark():
    rule = Rule.objects.exclude(covered_until=None).get()
    RuleRun.objects.filter(window_end=rule.covered_until).update(
        status=RunStatus.FAILED, error="x", window_start=rule.covered_until - timedelta(minutes=1)
    )


def edit_evidence():
    Evidence.objects.update(document={"process": {"name": "another.exe"}})


def edit_a_file():
    file = attachments.path_of(Attachment.objects.get().sha256)
    file.chmod(0o600)
    file.write_bytes(b"another")


def take_the_guard_off():
    integrity.remove(connection)


def edit_the_journal():
    with integrity._unguarded(connection):
        JournalEntry.objects.filter(verb="case_opened").update(reason="another")


def open_twice():
    entry = JournalEntry.objects.filter(verb="case_opened").earliest("pk")
    entry.pk, entry.number = None, 10_000
    entry.save()


def answer_behind_the_journal():
    Question.objects.update(state="lower")


def close_without_a_reason():
    Case.objects.update(
        status="closed", disposition="benign", closed_at=timezone.now(), closing_rationale=" "
    )


def close_unanswered():
    Case.objects.update(
        status="closed", disposition="benign", closed_at=timezone.now(), closing_rationale="x"
    )


def close_over_a_containment():
    ResponseAction.objects.filter(kind__key="block_destination").update(
        state="succeeded", started_at=timezone.now(), finished_at=timezone.now()
    )
    Case.objects.update(status="closed", disposition="malicious", closed_at=timezone.now())


def begin_once_more():
    ResponseAction.objects.filter(kind__key="block_destination").update(attempts=3)


def give_up():
    OutboxRow.objects.create(
        kind="x", key="x", state=OutboxState.FAILED, not_before=timezone.now(), error="No."
    )


def be_late():
    OutboxRow.objects.create(kind="x", key="x", not_before=timezone.now() - timedelta(hours=2))


def praise_a_failure():
    RuleRun.objects.filter(status=RunStatus.SUCCEEDED).update(error="Two shards failed.")


def leave_a_run():
    run = RuleRun.objects.filter(status=RunStatus.SUCCEEDED).first()
    run.pk, run.status, run.finished_at, run.trigger = None, RunStatus.RUNNING, None, RunTrigger.SCHEDULE
    run.save()


def grow():
    heartbeat.beat(f"{memory.PREFIX}worker@here", str(3 * 1024**3))


def pile_up():
    now = timezone.now()
    OutboxRow.objects.bulk_create(OutboxRow(kind="x", key=f"x:{n}", not_before=now) for n in range(31))


BROKEN = [
    ("I1", unroute, "is routed, but no case has it"),
    ("I1", forget_the_way, "nothing in the outbox will route it"),
    ("I2", another_id, "does not have the id of its events"),
    ("I2", miscount, "counts 7 occurrences and has 1"),
    ("I2", merge_on_paper, "is not empty and closed"),
    ("I3", hide_unapproved, "its content is not what was approved"),
    ("I4", uncover, "is neither covered nor a gap"),
    ("I5", fail_the_run_before_the_mark, "covered_until is the end of a run that failed"),
    ("I6", edit_evidence, "its evidence was changed"),
    ("I6", edit_a_file, "was changed, or is gone"),
    ("I7", take_the_guard_off, "The journal's trigger"),
    ("I7", edit_the_journal, "was changed"),
    ("I7", open_twice, "2 times that it was opened"),
    ("I7", answer_behind_the_journal, "stands as lower; its journal says open"),
    ("I8", close_without_a_reason, "is closed without a reason"),
    ("I8", close_unanswered, "a question not lowered and no override"),
    ("I9", begin_once_more, "counts 3 attempts; the journal has 1"),
    ("I9", close_over_a_containment, "is in force, and CW-"),
    ("I10", give_up, "was given up: No."),
    ("I10", be_late, "has been due since"),
    ("I11", praise_a_failure, "succeeded and has an error"),
    ("I11", leave_a_run, "is left running"),
    ("I12", grow, "worker@here holds 3072 MiB"),
    ("I12", pile_up, "rows that wait, more than 30"),
]


def test_each_is_named_when_it_is_broken(store, analyst, lead, settings, tmp_path, monkeypatch):
    """One instance where all hold; each violation is rolled back before the next."""
    settings.DATA_DIR = tmp_path
    monkeypatch.setattr(invariants, "MOST_ROWS_WAITING", 30)
    make_world(store, analyst, lead)
    assert list(invariants.broken()) == []
    for number, break_it, says in BROKEN:
        mark = transaction.savepoint()
        break_it()
        found = [
            fault for result in invariants.results() if result.invariant.number == number
            for fault in result.faults
        ]  # fmt: skip
        transaction.savepoint_rollback(mark)
        assert [fault for fault in found if says in fault], (number, break_it.__name__, found)
    assert {number for number, *_ in BROKEN} == {f"I{n}" for n in range(1, 13)}


def test_the_broker_s_messages_are_bounded(db, monkeypatch):
    monkeypatch.setattr(broker, "waiting", lambda: 10_001)
    assert list(invariants.broken()) == [
        "The broker holds 10001 messages, more than 10000: no worker takes them."
    ]


def test_the_command_says_each_on_a_line_and_ends_with_1(db):
    out = StringIO()
    call_command("check_invariants", stdout=out)
    assert len(out.getvalue().splitlines()) >= len(invariants.registered())
    give_up()
    with pytest.raises((CommandError, SystemExit)):
        call_command("check_invariants", stdout=out, stderr=out)
    assert "I10" in out.getvalue()
