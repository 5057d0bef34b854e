"""What a case's pages have in common: head, gate, questions, facts, journal."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from django.contrib.auth.models import User
from django.db.models import Count, Q
from django.shortcuts import get_object_or_404

from detections.actors import Actor
from detections.models import JournalStream
from triage import cases, evidence, facts, guide_versions, journal
from triage.enums import Disposition, PivotState, QuestionState
from triage.evidence import Attempts
from triage.gate import Block, Gate, Opening, gate_of
from triage.guides.model import Guide
from triage.models import Answer, Case, CaseLink, Draft, Evidence, GateOverride, Note, PivotRun, Question
from triage.response import open as response_open
from triage.standings import Standing, standings
from triage.templatetags.marks import words
from triage.views.doors import Asked

JOURNAL_SHOWN = 6
# What a case must come to, or may still come to, before an exception is proposed from it.
HARMLESS = (Disposition.UNDETERMINED, Disposition.BENIGN, Disposition.FALSE_POSITIVE)


@dataclass(frozen=True, slots=True)
class QuestionLine:
    """A question in the list at the left. note: what stands below its title."""

    question: Question
    note: str
    lacks_telemetry: bool


class CasePage:
    """A case, read once for one page."""

    def __init__(self, case: Case, actor: Actor) -> None:
        self.case, self.actor = case, actor

    @cached_property
    def guide(self) -> Guide:
        return guide_versions.guide_of(self.case)

    @cached_property
    def questions(self) -> list[Question]:
        questions = list(self.case.questions.order_by("position"))
        for question in questions:
            question.case = self.case
        return questions

    @cached_property
    def _attempts(self) -> Attempts:
        return evidence.attempts(self.case)

    @property
    def runs(self) -> Sequence[PivotRun]:
        return self._attempts.shown

    @cached_property
    def standings(self) -> list[Standing]:
        return standings(self.case, runs=self._attempts.counting, questions=self.questions)

    @cached_property
    def gate(self) -> Gate:
        return gate_of(self.case, self.standings)

    @cached_property
    def facts(self) -> facts.Facts:
        return facts.case_facts(self.case, actor=self.actor, runs=self._attempts.counting)

    @cached_property
    def links(self) -> list[tuple[str, Case]]:
        return case_links(self.case)

    @cached_property
    def pinned(self) -> list[Evidence]:
        return evidence.pinned(self.case)

    def question(self, key: str) -> Question | None:
        """The question of that key, as it was read."""
        return next((question for question in self.questions if question.key == key), None)

    @cached_property
    def cited(self) -> dict[int, int]:
        """How much the standing answer of each question cites; no entry where there is no answer."""
        found = Answer.objects.filter(question__case=self.case).annotate(how_many=Count("citations"))
        return dict(found.order_by("pk").values_list("question", "how_many"))

    @cached_property
    def lines(self) -> list[QuestionLine]:
        drafts = set(
            Draft.objects.filter(question__case=self.case, author=self.actor.user).values_list(
                "question", flat=True
            )
        )
        return [self._line(question, question.pk in drafts) for question in self.questions]

    def _line(self, question: Question, has_draft: bool) -> QuestionLine:
        runs = [run for run in self.runs if run.question_key == question.key]
        how_many = self.cited.get(question.pk)
        blind = sum(run.state == PivotState.NO_TELEMETRY for run in runs)
        if question.state != QuestionState.OPEN and how_many is not None:
            cited = f"{how_many} {'fact' if how_many == 1 else 'facts'} cited"
            parts = [words(question.state), cited if how_many else "nothing cited"]
        else:
            parts = [_found(runs)]
        parts += [f"{blind} no telemetry"] * bool(blind) + ["draft saved"] * has_draft
        return QuestionLine(question, " · ".join(part for part in parts if part), bool(blind))

    def context(self, tab: str) -> dict[str, object]:
        """What head and side columns need; what only some pages show is a function, read when shown."""
        case = self.case
        actions_total, containments = response_open.counts(case, actor=self.actor)
        return {
            "case": case,
            "actions_total": actions_total,
            "containments": containments,
            "tab": tab,
            "gate": lambda: self.gate,
            "openings": lambda: [one for one in self.gate.openings if one.disposition != "undetermined"],
            "why_closed": lambda: why_not_closable(self.gate),
            "lines": lambda: self.lines,
            "guide_faults": lambda: len(self.guide.faults),
            "states": lambda: [question.state for question in self.questions],
            "facts": lambda: self.facts,
            "links": lambda: self.links,
            "overrides": [] if case.is_open else _overrides(case),
            "notes_total": Note.objects.visible_to(self.actor).filter(case=case).count(),
            "escalations": [] if case.is_open else list(case.escalations.all()),
            "journal": lambda: journal.case_journal(case, actor=self.actor, limit=JOURNAL_SHOWN),
            "journal_total": journal_total(case, self.actor),
            "evidence_total": sum(run.kept for run in self.runs),
            "may_answer": self.actor.can("triage.answer_question"),
            "may_assign": self.actor.can("triage.assign_case"),
            "may_close": self.actor.can("triage.close_case"),
            "may_propose": case.rule_id is not None
            and case.disposition in HARMLESS
            and self.actor.can("triage.propose_exception"),
            "people": assignable(),
        }


def _found(runs: Sequence[PivotRun]) -> str:
    hits = sum(run.total for run in runs if run.state in (PivotState.HITS, PivotState.PARTIAL))
    waiting = sum(run.state in (PivotState.NOT_RUN, PivotState.RUNNING) for run in runs)
    broken = sum(run.state in (PivotState.BLOCKED, PivotState.FAILED) for run in runs)
    if waiting:
        return f"{waiting} {'pivot' if waiting == 1 else 'pivots'} running"
    text = f"{hits:,} {'hit' if hits == 1 else 'hits'}, not answered" if runs else "Not answered"
    return f"{text} · {broken} blocked or failed" if broken else text


def why_not_closable(gate: Gate) -> str:
    """Why benign and false positive are shut, in one sentence for the head; "" if they are open."""
    benign: Opening = gate.of("benign")
    if benign.is_open:
        return ""
    numbers = sorted({position for position in map(_position, benign.blocks) if position})
    if not numbers:
        return benign.blocks[0].sentence
    verb = "question {} stands" if len(numbers) == 1 else "questions {} stand"
    return f"Benign is not open: {verb.format(_listed(numbers))} in the way."


def own_answers(case: Case, person: User | None) -> str:
    """`question 4` or `questions 1 to 3`: those that this person answered; "" if none."""
    numbers = cases.own_answers(case, person)
    return f"question{'s' * (len(numbers) > 1)} {_listed(numbers)}" if numbers else ""


def _overrides(case: Case) -> list[tuple[GateOverride, str]]:
    """Who closed the case against its gate, each with the questions that they had answered themselves."""
    return [(row, own_answers(case, row.by)) for row in case.overrides.select_related("by")]


def _position(block: Block) -> int:
    """The number of the question that a block names, else 0."""
    found = re.match(r"Question (\d+)", block.sentence)
    return int(found[1]) if found and block.question else 0


def _listed(numbers: Sequence[int]) -> str:
    """`4`, `4 and 6`, `2, 4 and 6`, `1 to 7`."""
    if len(numbers) > 2 and numbers[-1] - numbers[0] == len(numbers) - 1:
        return f"{numbers[0]} to {numbers[-1]}"
    texts = [str(number) for number in numbers]
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}"


def journal_total(case: Case, actor: Actor) -> int:
    if not actor.can("detections.view_journalentry"):
        return 0
    found = JournalStream.objects.filter(name=case.stream).values_list("head_number", flat=True).first()
    return found or 0


def case_links(case: Case) -> list[tuple[str, Case]]:
    """Cases that this one speaks of, or that speak of it, each with the words for how."""
    standing = CaseLink.objects.standing().filter(Q(source=case) | Q(target=case)).order_by("pk")
    links = list(standing.select_related("source", "target").only("kind", "source__key", "target__key"))
    theirs = {
        "duplicate_of": "repeated by",
        "follows": "followed by",
        "related": "related",
    }
    ours = [(link.get_kind_display(), link.target) for link in links if link.source_id == case.pk]
    return ours + [(theirs[link.kind], link.source) for link in links if link.target_id == case.pk]


def assignable() -> list[User]:
    """People who may answer questions."""
    return list(
        User.objects.filter(is_active=True, groups__permissions__codename="answer_question")
        .distinct()
        .order_by("first_name", "last_name", "username")
    )


def load(request: Asked, pk: int) -> Case:
    """The case, if the person may see it; 404 otherwise."""
    visible = Case.objects.visible_to(request.actor)
    related = visible.select_related("assignee", "closed_by", "rule", "rule_version", "guide__rule_version")
    return get_object_or_404(related, pk=pk)
