"""The shipped scenarios, worked as cases from their telemetry to a decision."""

import pytest
from django.utils import timezone

from tests.factories.cases import ACTOR, cases_from, cases_of, cases_of_a_host, shipped_rule
from triage.cases import close_case
from triage.confirmations import add_confirmation
from triage.enums import CheckState, Disposition, PivotState
from triage.errors import AnswerRefusedError, GateClosedError
from triage.evidence import is_unchanged, latest_runs
from triage.facts import case_facts
from triage.gate import gate
from triage.models import Case, CheckResult, Evidence
from triage.questions import answer_question, why_not_lower

pytestmark = pytest.mark.django_db


def states(case):
    return {run.key: run.state for run in latest_runs(case)}


def answer(case, position, state, actor, *, rationale="as the rows show", confirmations=()):
    question = case.questions.get(position=position)
    row = Evidence.objects.filter(pivot__case=case, pivot__key="alert").first()
    return answer_question(
        question,
        state=state,
        rationale=rationale,
        evidence_ids=[row.pk],
        confirmation_ids=confirmations,
        actor=actor,
        version=question.version,
    )


def confirm(case, actor):
    return add_confirmation(
        case,
        kind="change",
        reference="CHG-20871",
        confirmed_by="K. Distribution",
        confirmed_at=timezone.now(),
        statement="swdist01 enrols this host by HTA.",
        actor=actor,
    )


@pytest.fixture
def attack(store):
    (case,) = cases_of("malicious")
    return case


@pytest.fixture
def unclear(store):
    (case,) = cases_of("ambiguous")
    return case


def test_the_attack_is_one_case_with_every_pivot_answered(attack):
    found = states(attack)
    quiet = {"host_alerts", "child_artifact_runs"}
    assert {key for key, state in found.items() if state == PivotState.NO_HITS} == quiet
    # No other host reports here, so nothing is known of any.
    assert found.pop("source_elsewhere") == PivotState.NO_TELEMETRY
    assert set(found.values()) == {PivotState.HITS, PivotState.NO_HITS}
    assert (attack.host_name, attack.remote_ip) == ("fin-ws-0412", "10.20.9.118")
    assert (attack.questions_total, attack.no_telemetry_count, attack.blocked_count) == (7, 0, 0)


def test_what_the_pivots_found_is_frozen_with_hashes(attack):
    runs = latest_runs(attack)
    assert {run.key: run.kept for run in runs}["network"] == 5
    assert all(is_unchanged(run) for run in runs)
    row = runs[1].rows.first()
    row.document["host"]["name"] = "forged"
    row.save()
    assert is_unchanged(runs[1]) is False


def test_checks_fire_on_the_payload(attack):
    fired = set(CheckResult.objects.filter(case=attack, state=CheckState.FIRED).values_list("key", flat=True))
    assert {"shell_started", "program_written", "library_untrusted", "artifact_used"} <= fired
    saw = CheckResult.objects.get(case=attack, key="shell_started").saw
    assert saw == "process.name powershell.exe"


def test_the_attack_closes_as_malicious_and_not_as_benign(attack, analyst):
    for position in range(1, 8):
        answer(attack, position, "escalate", analyst)
    with pytest.raises(GateClosedError, match="Question 1: it points to escalate"):
        close_case(attack, disposition="benign", rationale="x", actor=analyst, version=1)
    closed = close_case(
        attack, disposition="malicious", rationale="Remote HTA, payload, shell.", actor=analyst, version=1
    )
    assert (closed.status, closed.disposition, closed.closed_by) == ("closed", "malicious", analyst.user)


def test_the_managed_rollout_is_fifteen_cases_that_close_benign_with_a_record(store, analyst):
    cases = cases_of("benign")
    assert (len(cases), len({case.host_id for case in cases})) == (15, 3)
    case = cases[0]
    with pytest.raises(AnswerRefusedError, match="No confirmation record is cited"):
        answer(case, 1, "lower", analyst)
    record = confirm(case, analyst)
    for position in range(1, 8):
        answer(case, position, "lower", analyst, confirmations=[record.pk])
    assert gate(case).of("benign").is_open
    closed = close_case(case, disposition="benign", rationale="CHG-20871", actor=analyst, version=1)
    assert closed.disposition == Disposition.BENIGN


def test_missing_telemetry_is_shown_as_missing(unclear):
    found = states(unclear)
    assert (found["files"], found["logon_session"]) == (PivotState.NO_TELEMETRY, PivotState.NO_TELEMETRY)
    assert found["child_files"] == PivotState.NO_TELEMETRY
    network = next(run for run in latest_runs(unclear) if run.key == "network")
    assert network.state == PivotState.HITS
    assert network.reason == "No DNS telemetry from host ops-ws-0217; last seen never."
    assert unclear.no_telemetry_count == 3


def test_a_check_could_not_be_made_only_where_its_own_telemetry_is_missing(unclear):
    """The host sends connections and no lookups: what reads connections alone has been checked."""
    found = {check.key: (check.state, check.saw) for check in CheckResult.objects.filter(case=unclear)}
    no_dns = "No DNS telemetry from host ops-ws-0217; last seen never."
    assert found["destination_public"] == (CheckState.QUIET, "")
    assert found["child_destination_public"] == (CheckState.QUIET, "")
    assert found["answer_public"] == (CheckState.UNKNOWN, no_dns)
    # No file events: nothing could be followed, though starts and libraries are there.
    assert found["artifact_used"][0] == CheckState.UNKNOWN


def test_the_gate_names_the_missing_telemetry_and_refuses_benign(unclear, analyst):
    record = confirm(unclear, analyst)
    for position in (1, 2, 6, 7):
        answer(unclear, position, "lower", analyst, confirmations=[record.pk])
    for position in (3, 4, 5):
        with pytest.raises(AnswerRefusedError, match="telemetry from host ops-ws-0217"):
            answer(unclear, position, "lower", analyst, confirmations=[record.pk])
        answer(unclear, position, "unresolved", analyst)
    sentences = [block.sentence for block in gate(unclear).of("benign").blocks]
    assert "Question 4: no DNS telemetry from host ops-ws-0217; last seen never." in sentences
    with pytest.raises(GateClosedError):
        close_case(unclear, disposition="benign", rationale="familiar user", actor=analyst, version=1)
    assert Case.objects.get(pk=unclear.pk).is_open


def test_an_unclear_case_is_handed_on_as_suspicious(unclear, analyst):
    with pytest.raises(GateClosedError, match="to whom"):
        close_case(unclear, disposition="suspicious", rationale="x", actor=analyst, version=1)
    closed = close_case(
        unclear,
        disposition="suspicious",
        rationale="DNS, file and logon telemetry are missing.",
        actor=analyst,
        version=1,
        escalated_to="S. Lindqvist",
        preserved="source events, process, connections",
    )
    handed = closed.escalations.get()
    assert (handed.to, handed.by) == ("S. Lindqvist", analyst.user)


def test_the_disabled_choice_says_why(unclear):
    question = unclear.questions.get(position=4)
    assert why_not_lower(question) == ["No DNS telemetry from host ops-ws-0217; last seen never."]


def test_a_real_capture_with_a_wrong_clock_is_a_case_that_says_so(store, captures):
    """Sysmon of 2019: found only in event.created order, and its `source` is the victim itself."""
    rule = shipped_rule()
    (case,) = cases_from([captures / "LM_DCOM_MSHTA_LethalHTA_Sysmon_3_1.evtx"], rule)
    facts = case_facts(case, actor=ACTOR)
    assert (case.time_basis, case.remote_ip, case.host_name) == ("clock_repaired", "10.0.2.17", "IEWIN7")
    assert (facts.remote.ip, facts.remote.port, facts.host.is_derived) == ("10.0.2.17", "55683", True)
    assert "Event 2 claims to be 3.975 s earlier than event 1" in facts.time_basis_note
    assert states(case)["files"] == PivotState.NO_TELEMETRY
    assert PivotState.FAILED not in states(case).values()


def test_a_check_that_fires_after_the_answer_contradicts_it(store, analyst, tmp_path):
    case = cases_of_a_host("benign", tmp_path)[0]
    record = confirm(case, analyst)
    for position in range(1, 8):
        answer(case, position, "lower", analyst, confirmations=[record.pk])
    late = CheckResult.objects.get(case=case, key="shell_started")
    late.state, late.evaluated_at = CheckState.FIRED, timezone.now()
    late.save()
    (block,) = gate(case).of("benign").blocks
    assert block.sentence == (
        'Question 6: the check "mshta started a shell or a script host" fired after it was lowered.'
    )
    answer(case, 6, "lower", analyst, rationale="a known script", confirmations=[record.pk])
    assert gate(case).of("benign").is_open
