"""What an answer states of its question's fields: offered from evidence, checked by type, kept."""

import pytest

from tests.factories.cases import cases_of
from triage import answer_fields
from triage.errors import AnswerRefusedError
from triage.guide_versions import guide_of
from triage.models import Answer
from triage.questions import answer_question


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("source.ip", "10.20.9.118, fe80::1", ""),
        ("source.ip", "10.20.9.300", "source.ip: “10.20.9.300” is no IP address."),
        ("source.port", "49670", ""),
        ("source.port", "high", "source.port: “high” is no whole number."),
        ("process.code_signature.trusted", "True", ""),
        (
            "process.code_signature.trusted",
            "yes",
            "process.code_signature.trusted: “yes” is no true or false.",
        ),
        ("process.start", "2026-03-18 09:41", ""),
        ("process.start", "2026-13-18 09:41", "process.start: “2026-13-18 09:41” is no date and time, UTC."),
        ("process.command_line", "anything, at all", ""),
        ("nobody.knows", "anything", ""),
        ("process.name", "x" * 1001, "process.name: 1,001 characters are too many; 1,000 are the most."),
    ],
)
def test_values_are_checked_by_type(name, value, told):
    assert answer_fields.fault(name, value) == told


@pytest.mark.django_db
def test_they_are_offered_from_evidence_refused_when_wrong_and_kept(store, analyst):
    case = cases_of("malicious")[0]
    question = case.questions.get(position=1)
    guide = next(one for one in guide_of(case).questions if one.key == question.key)
    alert = case.occurrences.get().alert
    documents = [event["document"] for event in alert.events]
    shown = {field.name: field for field in answer_fields.answer_fields(guide, documents, {})}
    assert shown["process.command_line"].offered[0].endswith("mshta.exe -Embedding")

    def say(**fields):
        return answer_question(
            question, state="escalate", rationale="Bad.", actor=analyst, version=1, fields=fields
        )

    with pytest.raises(AnswerRefusedError, match="is no IP address"):
        say(**{"source.ip": "here"})
    say(**{"source.ip": " 10.20.9.118 ", "process.command_line": "", "not.asked": "x"})
    assert Answer.objects.get().fields == {"source.ip": "10.20.9.118"}
