"""The response ladder: the guide's rungs, and which of their actions the case allows now, each with why."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from triage.enums import ObservableType
from triage.guides.model import Guide, ResponseStage, StageAction, StageFor
from triage.models import Case
from triage.response import hardening
from triage.response.conditions import CaseState, Condition
from triage.response.kinds import PRESERVE, SEARCH, KindSpec, spec_of

_OF_HOSTS = ("isolate_host", "contain_source")


@dataclass(frozen=True, slots=True)
class Offer:
    """An action that a rung proposes. It is offered where every condition holds."""

    spec: KindSpec
    label: str
    conditions: tuple[Condition, ...] = ()

    @property
    def lacking(self) -> list[Condition]:
        return [condition for condition in self.conditions if not condition.holds]

    @property
    def is_offered(self) -> bool:
        return not self.lacking

    @property
    def why_not(self) -> str:
        """The sentence under a greyed action."""
        return " ".join(condition.why or condition.says for condition in self.lacking)


@dataclass(frozen=True, slots=True)
class Rung:
    """One stage. text: the guide's own words. is_advice: the guide says it in prose and names no actions.
    hardens: what it proposes becomes tasks, see `triage.response.hardening`."""

    key: str
    title: str
    text: str
    applies: StageFor
    offers: tuple[Offer, ...] = ()
    is_advice: bool = False
    hardens: bool = False

    @property
    def is_open(self) -> bool:
        return any(offer.is_offered for offer in self.offers)


def _stage(key: str, title: str, applies: StageFor, *kinds: str) -> ResponseStage:
    actions = tuple(
        StageAction(kind, spec_of(kind).label, spec_of(kind).undo, spec_of(kind).is_destructive)
        for kind in kinds
    )
    return ResponseStage(key, title, applies, "", (), actions)


_MALICIOUS_STEPS = (
    "contain_source",
    "disable_account",
    "block_indicators",
    "suspend_process",
    "kill_process",
)
# For guides that say it in prose alone: the same order, with the product's own preconditions.
STANDARD = (
    _stage("preserve", "Preserve", StageFor.ANY, PRESERVE, "collect_file", "list_processes", "ask_owner"),
    _stage(
        "contain", "Contain, reversible", StageFor.ANY, "block_destination", "watch_entity", "isolate_host"
    ),
    _stage("confirmed_malicious", "Contain the intrusion", StageFor.MALICIOUS, *_MALICIOUS_STEPS),
    _stage("scope", "Find the other hosts", StageFor.ANY, SEARCH),
    _stage("eradicate", "Remove and repair", StageFor.MALICIOUS, "delete_files", "reset_credentials"),
    _stage(hardening.STAGE, "Harden afterwards", StageFor.ANY),
)
# What every ladder has beside what its guide names, by the rung it belongs to.
_ALSO = {
    "preserve": ("collect_file", "list_processes", "ask_owner"),
    "confirmed_malicious": ("suspend_process",),
}


def rungs_of(guide: Guide) -> list[ResponseStage]:
    """The guide's stages; behind those that are prose alone, the standard ones. What is hardened afterwards
    is no action of a stage: it becomes tasks."""
    has_actions = any(stage.actions for stage in guide.response)
    stages = guide.response if has_actions else (*guide.response, *STANDARD)
    hardens = hardening.stage_key(guide)
    return [_without_tasks(stage) if stage.key == hardens else stage for stage in stages]


def _without_tasks(stage: ResponseStage) -> ResponseStage:
    kept = tuple(action for action in stage.actions if not hardening.is_task(action.key))
    return replace(stage, actions=kept)


def ladder(case: Case, guide: Guide | None = None) -> list[Rung]:
    """Every rung of a case in the guide's order, with what it offers now. A fixed number of queries."""
    facts = CaseState(case, guide)
    return [_rung(stage, facts) for stage in rungs_of(facts.guide)]


def _rung(stage: ResponseStage, facts: "CaseState") -> Rung:
    named = {action.key for action in stage.actions}
    also = [
        StageAction(key, spec_of(key).label)
        for key in _ALSO.get(stage.key, ())
        if stage.actions and key not in named
    ]
    offers = tuple(
        Offer(spec_of(action.key, action), action.label, tuple(conditions(stage, action, facts)))
        for action in (*stage.actions, *also)
    )
    hardens = stage.key == hardening.stage_key(facts.guide)
    is_advice = not stage.actions and not hardens
    return Rung(stage.key, stage.title, stage.text, stage.applies, offers, is_advice, hardens)


def conditions(
    stage: ResponseStage | None, action: StageAction, facts: "CaseState", type_: str = "", value: str = ""
) -> list[Condition]:
    """The preconditions of an action, those of its rung and those of its kind, each once.

    type_, value: what it is to be done to, "" as long as nothing is chosen.
    """
    spec = spec_of(action.key, action)
    if spec.key == "contain_source" and not value:
        # As long as nothing is chosen, it is about the remote side.
        type_, value = ObservableType.IP, facts.case.remote_ip
    said = {one.key: one.says for one in stage.preconditions} if stage else {}
    wanted = [key for key in said if key != "isolation_permitted" or spec.key in _OF_HOSTS]
    if stage is not None and stage.applies is StageFor.MALICIOUS:
        wanted.append("disposition_malicious")
    if stage is not None and stage.applies is StageFor.BENIGN:
        wanted.append("gate_open")
    if spec.is_destructive:
        wanted += ["evidence_preserved"]
    found = [
        facts.condition(key, said.get(key, ""), type_, value)
        for key in dict.fromkeys([*wanted, *spec.requires])
    ]
    if any(one.key == "disposition_malicious" for one in found):
        found = [one for one in found if one.key != "malicious_or_payload"]
    return found


@dataclass(frozen=True, slots=True)
class Place:
    """Where on a ladder an action stands."""

    stage: ResponseStage
    action: StageAction


def place_of(guide: Guide, kind: str, stage: str = "") -> Place | None:
    """The rung that proposes the kind: the named one, else the first. None where no rung does."""
    found = [Place(one, action) for one in rungs_of(guide) for action in _actions(one) if action.key == kind]
    return next((place for place in found if place.stage.key == stage), found[0] if found else None)


def _actions(stage: ResponseStage) -> Iterable[StageAction]:
    also = _ALSO.get(stage.key, ()) if stage.actions else ()
    return (*stage.actions, *(StageAction(key, spec_of(key).label) for key in also))


@dataclass(slots=True)
class Judged:
    """What a request or an approval finds of the preconditions."""

    conditions: list[Condition] = field(default_factory=list)

    @property
    def lacking(self) -> list[Condition]:
        return [one for one in self.conditions if not one.holds]


def judge(case: Case, kind: str, stage: str, type_: str, value: str, guide: Guide | None = None) -> Judged:
    """The preconditions of one action now. An action that no rung proposes has its kind's alone."""
    facts = CaseState(case, guide)
    place = place_of(facts.guide, kind, stage)
    action = place.action if place else StageAction(kind, spec_of(kind).label)
    return Judged(conditions(place.stage if place else None, action, facts, type_, value))
