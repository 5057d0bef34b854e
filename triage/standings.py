"""How each question of a case stands: its state, what telemetry it lacks, what contradicts its answer."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from triage.enums import CheckState, PivotState, Points, QuestionState
from triage.evidence import coverage_of, kind_word, latest_runs, missing_sentence
from triage.guide_versions import guide_of
from triage.guides.model import Guide, Requirement
from triage.guides.model import Question as GuideQuestion
from triage.models import Answer, Case, CheckResult, Citation, PivotRun, Question

_WAITING = (PivotState.NOT_RUN, PivotState.RUNNING)


@dataclass(frozen=True, slots=True)
class Standing:
    """One question, as the gate and the answer form see it. Sentences have no full stop.

    gaps: missing telemetry and pivots that gave no answer. lacks_telemetry: some of them is telemetry that
    the host does not send. waiting: pivots that have not run yet.
    is_confirmed: the standing answer cites a confirmation. contradictions: what has turned up against a
    *lower* since it was given.
    """

    key: str
    position: int
    title: str
    state: str
    gaps: tuple[str, ...] = ()
    lacks_telemetry: bool = False
    waiting: tuple[str, ...] = ()
    needs_confirmation: bool = False
    confirmation_replaces_telemetry: bool = False
    is_confirmed: bool = False
    contradictions: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return f"Question {self.position}"

    def unseen(self, *, has_confirmation: bool) -> list[str]:
        """What could not be looked at, as far as a cited confirmation does not stand in for it."""
        is_replaced = has_confirmation and self.confirmation_replaces_telemetry
        return [*self.waiting, *(() if is_replaced else self.gaps)]

    def lower_blocks(self, *, has_confirmation: bool) -> list[str]:
        """What forbids to lower the question, given that a confirmation is (not) cited."""
        blocks = self.unseen(has_confirmation=has_confirmation)
        if self.needs_confirmation and not has_confirmation:
            blocks.append("no confirmation record is cited, and the guide demands one")
        return blocks


def standings(
    case: Case, *, runs: Sequence[PivotRun] | None = None, questions: Sequence[Question] | None = None
) -> list[Standing]:
    """All questions of a case, in the guide's order. A fixed number of queries.

    runs, questions: the runs that count and the questions, where a page has read them already.
    """
    guide = guide_of(case)
    runs = latest_runs(case) if runs is None else runs
    questions = list(case.questions.order_by("position")) if questions is None else questions
    answers = _standing_answers(case)
    confirmed = set(
        Citation.objects.filter(
            answer__in=[answer.pk for answer in answers.values()], confirmation__isnull=False
        ).values_list("answer_id", flat=True)
    )
    known = [check.key for check in guide.checks]
    fired = list(
        CheckResult.objects.filter(
            case=case, key__in=known, state=CheckState.FIRED, points=Points.ESCALATE.value
        )
    )
    return [
        _standing(case, question, guide, runs, answers.get(question.pk), confirmed, fired)
        for question in questions
    ]


def standing_of(question: Question) -> Standing:
    """One question's standing."""
    return next(found for found in standings(question.case) if found.key == question.key)


def _standing_answers(case: Case) -> dict[int, Answer]:
    """The newest answer of each question."""
    answers = Answer.objects.filter(question__case=case).order_by("pk")
    return {answer.question_id: answer for answer in answers}


def _standing(
    case: Case,
    question: Question,
    guide: Guide,
    runs: Sequence[PivotRun],
    answer: Answer | None,
    confirmed: set[int],
    fired: Sequence[CheckResult],
) -> Standing:
    requires = _of_guide(guide, question.key).requires
    own = [run for run in runs if run.question_key == question.key]
    return Standing(
        key=question.key,
        position=question.position,
        title=question.title,
        state=question.state,
        gaps=tuple(_gaps(case, requires, own, runs)),
        lacks_telemetry=any(_is_missing(own, runs, kind) for kind in requires.telemetry),
        waiting=tuple(f'the pivot "{run.label}" has not run yet' for run in own if run.state in _WAITING),
        needs_confirmation=requires.confirmation,
        confirmation_replaces_telemetry=requires.confirmation_replaces_telemetry,
        is_confirmed=answer is not None and answer.pk in confirmed,
        contradictions=tuple(_contradictions(question, answer, fired)),
    )


def _of_guide(guide: Guide, key: str) -> GuideQuestion:
    return next((found for found in guide.questions if found.key == key), GuideQuestion(key, key, key))


def _gaps(
    case: Case, requires: Requirement, own: Sequence[PivotRun], runs: Sequence[PivotRun]
) -> Iterable[str]:
    host = case.host_name or case.host_id
    for kind in requires.telemetry:
        entry = _seen(own, runs, kind)
        if entry is None and not any(run.state in _WAITING for run in own):
            yield f"whether {kind_word(kind.value)} telemetry exists is not known: no pivot could look"
        elif entry is not None and not entry["present"]:
            yield missing_sentence(entry, host)
    yield from (_unanswered(run) for run in own if _counts(run, requires))


def _seen(own: Sequence[PivotRun], runs: Sequence[PivotRun], kind: str) -> dict[str, Any] | None:
    """What the question's own pivots learned of a kind, else what any pivot of the case did."""
    return coverage_of(own, kind) or coverage_of(runs, kind)


def _is_missing(own: Sequence[PivotRun], runs: Sequence[PivotRun], kind: str) -> bool:
    entry = _seen(own, runs, kind)
    return entry is not None and not entry["present"]


def _counts(run: PivotRun, requires: Requirement) -> bool:
    """Whether a run that gave no answer stands in the way.

    Missing telemetry is already told by its kind. A blocked pivot counts if it reads what is required.
    """
    if run.state in (PivotState.FAILED, PivotState.PARTIAL):
        return True
    wanted = {kind.value for kind in requires.telemetry}
    return run.state == PivotState.BLOCKED and bool(wanted & set(run.kinds))


def _unanswered(run: PivotRun) -> str:
    verb = {PivotState.FAILED: "failed", PivotState.PARTIAL: "is partial", PivotState.BLOCKED: "is blocked"}
    return f'the pivot "{run.label}" {verb[PivotState(run.state)]}: {run.reason.rstrip(".")}'


def _contradictions(question: Question, answer: Answer | None, fired: Sequence[CheckResult]) -> Iterable[str]:
    """Checks that fired after the question was lowered: nobody has weighed them."""
    if answer is None or question.state != QuestionState.LOWER:
        return
    for check in fired:
        if check.question_key == question.key and check.evaluated_at > answer.created_at:
            yield f'the check "{check.says.rstrip(".")}" fired after it was lowered'


def has_answered_pivot(case: Case, question_key: str) -> bool:
    """Whether a pivot of the question found nothing where the telemetry exists: citable silence."""
    return any(
        run.question_key == question_key and run.state == PivotState.NO_HITS for run in latest_runs(case)
    )
