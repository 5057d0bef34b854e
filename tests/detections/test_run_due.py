"""The commands run_due and check_invariants."""

import itertools
from datetime import UTC, datetime

import pytest
from django.core.management import CommandError, call_command

from detections import invariants, lease, outbox, run, schedules, wake
from detections.actors import system
from detections.errors import StoreError
from detections.management.commands import run_due
from detections.models import CoveredWindow, OutboxRow, Rule
from tests.factories.events import attack, mapped
from tests.factories.rules import rule as make_rule

ACTOR = system("test")
YEARS_AGO = datetime(2019, 7, 18, 20, 53, tzinfo=UTC)
batches = itertools.count()


@pytest.fixture
def due(store):
    made = schedules.set_enabled(make_rule(enabled=False), True, actor=ACTOR)
    store.append(mapped(*attack(YEARS_AGO)), batch=f"due:{next(batches)}")
    return made


def test_it_runs_what_is_due_and_says_so(due, capsys):
    call_command("run_due")
    said = capsys.readouterr().out
    assert ("Rule mshta" in said, "succeeded" in said) == (True, True)
    Rule.objects.update(due_since=None)
    call_command("run_due")
    assert capsys.readouterr().out == "No rule is due.\n"


def test_a_named_rule_runs_though_it_is_not_due(due, capsys):
    call_command("run_due")
    call_command("run_due", rule="mshta")
    assert due.runs.count() == 2


@pytest.mark.parametrize(
    ("rule_id", "said"), [("nope", "There is no rule nope"), ("ml", "does not run here"), ("off", "disabled")]
)
def test_a_rule_that_can_not_run_is_refused(store, rule_id, said):
    make_rule("ml", type="machine_learning")
    make_rule("off", enabled=False)
    with pytest.raises(CommandError, match=said):
        call_command("run_due", rule=rule_id)


def test_a_failed_run_fails_the_command_with_its_reason(due, monkeypatch, store):
    class Broken:
        head = staticmethod(store.head)

        def search_eql(self, *_, **__):
            raise StoreError("The disk is full.")

    monkeypatch.setattr(run, "event_store", Broken)
    with pytest.raises(CommandError, match=r"Rule mshta: failed\. The disk is full\."):
        call_command("run_due")


def test_with_wait_the_outbox_is_drained_too(due, monkeypatch, capsys):
    routed = []
    monkeypatch.setitem(outbox._handlers, "route_alerts", routed.append)
    call_command("run_due", wait=True)
    assert (routed, OutboxRow.objects.get().state) == ([due.runs.get().pk], "done")
    assert "Work that followed (cases, pivots): 1 done." in capsys.readouterr().out


def test_with_wait_work_that_fails_fails_the_command(due, monkeypatch):
    def refuse(_subject):
        raise ValueError("no guide")

    monkeypatch.setitem(outbox._handlers, "route_alerts", refuse)
    with pytest.raises(CommandError, match="route_alerts: ValueError: no guide"):
        call_command("run_due", wait=True)


def test_it_does_not_wait_for_ever_for_a_worker(due, monkeypatch):
    monkeypatch.setattr(run_due, "PATIENCE_SECONDS", 0)
    with lease.hold(wake.LEASE), pytest.raises(CommandError, match="A worker has been running rules"):
        call_command("run_due")


def test_all_invariants_hold_after_a_run(due, capsys):
    call_command("run_due")
    call_command("check_invariants")
    assert capsys.readouterr().out.endswith(f"{len(invariants.registered())} invariants hold.\n")


def test_a_hole_in_the_coverage_is_found(due, capsys):
    call_command("run_due")
    CoveredWindow.objects.all().delete()
    with pytest.raises(CommandError, match="violated, 1 times"):
        call_command("check_invariants")
    assert "is neither covered nor a gap" in capsys.readouterr().err
