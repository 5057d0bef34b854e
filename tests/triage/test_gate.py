"""The gate's rules, over every combination of answers."""

from hypothesis import given
from hypothesis import strategies as st

from triage.enums import Disposition, QuestionState
from triage.gate import decide
from triage.standings import Standing

STATES = st.sampled_from(QuestionState.values)
SENTENCES = st.lists(st.just("no DNS telemetry from host h; last seen never"), max_size=1).map(tuple)


@st.composite
def questions(draw):
    return [
        Standing(
            key=f"q{number}",
            position=number,
            title="?",
            state=draw(STATES),
            gaps=draw(SENTENCES),
            needs_confirmation=draw(st.booleans()),
            confirmation_replaces_telemetry=draw(st.booleans()),
            is_confirmed=draw(st.booleans()),
            contradictions=draw(st.lists(st.just("the check fired"), max_size=1).map(tuple)),
        )
        for number in range(1, draw(st.integers(0, 7)) + 1)
    ]


def is_lowered(question):
    has_telemetry = not question.gaps or (question.confirmation_replaces_telemetry and question.is_confirmed)
    is_record_there = question.is_confirmed or not question.needs_confirmation
    return question.state == "lower" and has_telemetry and is_record_there and not question.contradictions


@given(questions())
def test_benign_is_open_only_if_every_question_is_lowered_by_evidence(stands):
    expected = bool(stands) and all(is_lowered(question) for question in stands)
    gate = decide(stands)
    assert gate.of("benign").is_open is expected
    assert gate.of("false_positive").blocks == gate.of("benign").blocks


@given(questions())
def test_malicious_is_open_if_one_question_escalates(stands):
    assert decide(stands).of("malicious").is_open is any(one.state == "escalate" for one in stands)


@given(questions(), st.booleans())
def test_nothing_closes_undetermined_and_nothing_closes_twice(stands, is_storm):
    assert not decide(stands, is_storm=is_storm).of("undetermined").is_open
    assert decide(stands, is_closed=True, is_storm=is_storm).open_dispositions == []


@given(questions())
def test_malicious_and_benign_are_never_open_together(stands):
    found = decide(stands).open_dispositions
    assert not {Disposition.MALICIOUS, Disposition.BENIGN} <= set(found)


@given(questions())
def test_every_refusal_names_its_question_in_a_sentence(stands):
    for block in decide(stands).of("benign").blocks:
        assert block.sentence.endswith(".")
        assert not stands or block.sentence.startswith("Question ")


def test_suspicious_says_what_it_needs():
    opening = decide([]).of("suspicious")
    assert (opening.is_open, opening.needs) == (True, ("escalated_to", "preserved"))


def test_a_storm_never_closes_as_benign():
    lowered = Standing(key="q", position=1, title="?", state="lower")
    assert decide([lowered]).of("benign").is_open
    assert not decide([lowered], is_storm=True).of("benign").is_open
