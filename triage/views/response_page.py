"""What the tab Response shows: the ladder, what was done at each rung, and what is in force."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from triage import response_ladder
from triage.models import Case, ResponseAction
from triage.models.action import MOVING
from triage.response_ladder import Offer, Rung
from triage.views.case_page import CasePage


@dataclass(frozen=True, slots=True)
class ShownRung:
    """A rung with its actions. state: done, active, running, open or locked. note: below its name."""

    rung: Rung
    state: str
    note: str
    actions: Sequence[ResponseAction] = ()
    offers: Sequence[Offer] = ()


@dataclass(frozen=True, slots=True)
class Shown:
    rungs: Sequence[ShownRung]
    others: Sequence[ResponseAction] = field(default_factory=tuple)


def actions_of(page: CasePage) -> list[ResponseAction]:
    """Every action of the case that the actor may see, with what its line shows, newest first."""
    rows = ResponseAction.objects.visible_to(page.actor).filter(case=page.case)
    related = rows.select_related("kind", "requested_by", "approved_by", "undoes", "connector")
    return list(related.prefetch_related("checks", "undos").order_by("-pk"))


def shown(page: CasePage, actions: Sequence[ResponseAction]) -> Shown:
    """The ladder with the actions at their rungs; an action of no rung of this guide is told apart."""
    rungs = response_ladder.ladder(page.case, page.guide)
    keys = {rung.key for rung in rungs}
    return Shown(
        [_shown(rung, [one for one in actions if one.stage == rung.key], page.case) for rung in rungs],
        [one for one in actions if one.stage not in keys],
    )


def _shown(rung: Rung, actions: Sequence[ResponseAction], case: Case) -> ShownRung:
    taken = {one.kind.key for one in actions if one.state in (*MOVING, "succeeded")}
    offers = [offer for offer in rung.offers if case.is_open or offer.spec.key in taken]
    state, note = _standing(rung, actions)
    return ShownRung(rung, state, note, actions, offers)


def _standing(rung: Rung, actions: Sequence[ResponseAction]) -> tuple[str, str]:
    moving = sum(one.state in MOVING for one in actions)
    in_force = sum(one.is_containment and one.is_in_force and one.undoes_id is None for one in actions)
    done = sum(one.state in ("succeeded", "undone") for one in actions)
    if moving:
        return "running", f"{in_force} in force, {moving} under way" if in_force else f"{moving} under way"
    if in_force:
        return "active", f"{in_force} in force"
    if done:
        return "done", f"{done} done"
    if rung.is_advice:
        return "open", "advice"
    if rung.is_open:
        return "open", f"{sum(offer.is_offered for offer in rung.offers)} to ask for"
    lacking = next((offer.lacking[0] for offer in rung.offers if offer.lacking), None)
    return "locked", _needs(lacking.key if lacking else "")


def _needs(key: str) -> str:
    return {
        "gate_open": "needs an open gate",
        "evidence_preserved": "needs preserved evidence",
        "disposition_malicious": "needs a malicious verdict",
        "scope_known": "needs a search of other hosts",
        "isolation_permitted": "needs a role that permits it",
    }.get(key, "not open yet")
