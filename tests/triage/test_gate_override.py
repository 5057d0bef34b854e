"""A lead closes against the gate: with a sentence, and for all to see."""

import pytest

from detections import invariants
from detections.actors import NotPermittedError
from triage.cases import close_case
from triage.errors import GateClosedError
from triage.journal import case_journal
from triage.models import Case, GateOverride
from triage.questions import answer_question

pytestmark = pytest.mark.django_db
WHY = "The vendor's support ran it on our request."


def close(case, actor, **more):
    told = {"disposition": "benign", "rationale": "Support session.", "override": WHY, **more}
    return close_case(case, actor=actor, version=case.version, **told)


def test_it_is_kept_with_what_stood_in_the_way(make_case, lead, lin):
    case = close(make_case(), lead)
    made = GateOverride.objects.get()
    assert (made.case, made.by, made.reason, made.disposition) == (case, lin, WHY, "benign")
    assert made.blocks == ["Question 1: it is not answered."]
    assert [(line.verb, line.reason) for line in case_journal(case, actor=lead)] == [
        ("case_closed", "Support session."),
        ("gate_overridden", WHY),
    ]
    assert list(invariants.broken()) == []
    gone = made.pk
    made.delete()
    assert list(invariants.broken()) == [
        f"{case.number}: override {gone} is in the journal and is not there.",
        f"{case.number} is closed as benign with a question not lowered and no override.",
    ]


@pytest.mark.parametrize("changes", [{"override": "no"}, {"override": ""}, {"disposition": "malicious"}])
def test_without_a_sentence_or_for_another_disposition_the_gate_stays_shut(make_case, lead, changes):
    with pytest.raises(GateClosedError):
        close(make_case(), lead, **changes)
    assert not GateOverride.objects.exists()


def test_an_analyst_may_not_and_a_closed_case_stays_so(make_case, analyst, lead):
    case = make_case()
    with pytest.raises(NotPermittedError, match="override_gate"):
        close(case, analyst)
    close(case, lead)
    with pytest.raises(GateClosedError, match="The case is closed"):
        close(Case.objects.get(), lead, disposition="false_positive")


def test_who_overrides_answers_of_their_own_is_marked_so_for_ever(
    client, lin, make_case, lead, analyst, settings
):
    settings.STATIC_ROOT.mkdir(exist_ok=True)
    own, of_another = make_case(1), make_case(2)
    client.force_login(lin)
    for case, actor in ((own, lead), (of_another, analyst)):
        answer_question(case.questions.get(), state="unresolved", rationale="No.", actor=actor, version=1)
    said = "You answered question 1 yourself. Better ask another lead"
    shown = [said in client.get(f"/cases/{case.pk}/close/").content.decode() for case in (own, of_another)]
    assert shown == [True, False]
    for case in (own, of_another):
        close(case, lead)
    said = "Overrode own answers:"
    shown = [said in client.get(f"/cases/{case.pk}/journal/").content.decode() for case in (own, of_another)]
    assert shown == [True, False]
