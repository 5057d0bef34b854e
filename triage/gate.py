"""Which dispositions are open, and what blocks the others: design 6b and the guides' closing sentence."""

from collections.abc import Sequence
from dataclasses import dataclass

from triage.enums import CaseStatus, Disposition, QuestionState
from triage.guide_versions import guide_of
from triage.models import Case
from triage.standings import Standing, standings


@dataclass(frozen=True, slots=True)
class Block:
    """One thing that stands in the way. question: its key, or "" for the case as a whole."""

    sentence: str
    question: str = ""


@dataclass(frozen=True, slots=True)
class Opening:
    """One disposition. needs: names of what the closing form must bring for it."""

    disposition: Disposition
    blocks: tuple[Block, ...] = ()
    needs: tuple[str, ...] = ()

    @property
    def is_open(self) -> bool:
        return not self.blocks


@dataclass(frozen=True, slots=True)
class Gate:
    """openings: one per disposition, in the enum's order. closing: the guide's own sentence."""

    openings: tuple[Opening, ...]
    closing: str = ""

    def of(self, disposition: str) -> Opening:
        """The opening of a disposition. Raises ValueError for a word that is none."""
        wanted = Disposition(disposition)
        return next(opening for opening in self.openings if opening.disposition is wanted)

    @property
    def open_dispositions(self) -> list[Disposition]:
        return [opening.disposition for opening in self.openings if opening.is_open]


def gate(case: Case) -> Gate:
    """The gate of a case as it stands. Inside a transaction with the case locked, it holds until commit."""
    return gate_of(case, standings(case))


def gate_of(case: Case, questions: Sequence[Standing]) -> Gate:
    """The gate over the questions as they were read."""
    return decide(
        questions,
        is_closed=case.status == CaseStatus.CLOSED,
        is_storm=case.is_storm,
        closing=guide_of(case).closing,
    )


def decide(
    questions: Sequence[Standing], *, is_closed: bool = False, is_storm: bool = False, closing: str = ""
) -> Gate:
    """The rules, without a database.

    malicious: a question points to escalate. benign and false_positive: every question is lowered, from
    evidence or an exact confirmation, and nothing contradicts. suspicious: always, with an escalation and a
    preserve list. duplicate: with a twin. undetermined: never.
    """
    closed = (Block("The case is closed."),) if is_closed else ()
    lowered = closed or tuple(_storm(is_storm) + _benign_blocks(questions))
    openings = (
        Opening(Disposition.UNDETERMINED, (Block("Undetermined is no conclusion: it can't close a case."),)),
        Opening(Disposition.MALICIOUS, closed or tuple(_malicious_blocks(questions))),
        Opening(Disposition.SUSPICIOUS, closed, ("escalated_to", "preserved")),
        Opening(Disposition.BENIGN, lowered),
        Opening(Disposition.FALSE_POSITIVE, lowered),
        Opening(Disposition.DUPLICATE, closed, ("duplicate_of",)),
    )
    return Gate(openings, closing)


def _storm(is_storm: bool) -> list[Block]:
    if not is_storm:
        return []
    return [Block("The case gathers a storm of alerts: no telemetry of one host speaks for the others.")]


def _malicious_blocks(questions: Sequence[Standing]) -> list[Block]:
    if any(question.state == QuestionState.ESCALATE for question in questions):
        return []
    return [Block("No question points to escalate: say which evidence shows an attack.")]


def _benign_blocks(questions: Sequence[Standing]) -> list[Block]:
    if not questions:
        return [Block("The case has no questions, so nothing shows that it is benign.")]
    return [block for question in questions for block in _question_blocks(question)]


def _question_blocks(question: Standing) -> list[Block]:
    """What of one question forbids a benign close; each missing telemetry by name."""
    told = {
        QuestionState.OPEN: "it is not answered",
        QuestionState.ESCALATE: "it points to escalate",
        QuestionState.UNRESOLVED: "it stays unresolved",
        QuestionState.NOT_APPLICABLE: '"not applicable" never counts toward benign',
    }
    if question.state == QuestionState.LOWER:
        sentences = question.lower_blocks(has_confirmation=question.is_confirmed)
        sentences += question.contradictions
    else:
        unseen = question.unseen(has_confirmation=question.is_confirmed)
        sentences = [told[QuestionState(question.state)], *unseen]
    return [Block(f"{question.name}: {sentence}.", question.key) for sentence in sentences]
