"""What the tab Response shows: the ladder, what was done at each rung, and what is in force."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.urls import reverse

from triage.enums import PackState, ScopeRunState
from triage.models import ActionKind, Case, CasePack, ResponseAction, ScopeRun
from triage.models.action import MOVING
from triage.response import hardening
from triage.response import ladder as response_ladder
from triage.response import results as response_results
from triage.response.conditions import Condition
from triage.response.executors import executor_of
from triage.response.hardening import Proposal
from triage.response.kinds import PRESERVE, SEARCH
from triage.response.ladder import Offer, Rung
from triage.views.case_page import CasePage


@dataclass(frozen=True, slots=True)
class Record:
    """A pack or a search of the case that no action is about: somebody asked for it on its page."""

    state: str
    title: str
    says: str
    url: str


@dataclass(frozen=True, slots=True)
class ShownOffer:
    """An offer with who does it here. needs: its preconditions beside those of its whole rung.

    is_one_click: it needs neither a target nor anybody's decision.
    """

    offer: Offer
    needs: Sequence[Condition]
    by: str
    needs_approval: bool
    is_one_click: bool
    was_done: bool


@dataclass(frozen=True, slots=True)
class ShownRung:
    """A rung with its actions. state: done, active, running, open or locked. note: below its name. needs:
    what each of its offers needs."""

    rung: Rung
    state: str
    note: str
    needs: Sequence[Condition] = ()
    actions: Sequence[ResponseAction] = ()
    offers: Sequence[ShownOffer] = ()
    records: Sequence[Record] = ()
    proposals: Sequence[Proposal] = ()


@dataclass(frozen=True, slots=True)
class Shown:
    rungs: Sequence[ShownRung]
    others: Sequence[ResponseAction] = field(default_factory=tuple)


def actions_of(page: CasePage) -> list[ResponseAction]:
    """Every action of the case that the actor may see, with what its line shows, newest first."""
    rows = ResponseAction.objects.visible_to(page.actor).filter(case=page.case)
    related = rows.select_related("kind", "requested_by", "approved_by", "undoes", "connector")
    return list(related.with_proof().prefetch_related("undos").order_by("-pk"))


def shown(page: CasePage, actions: Sequence[ResponseAction]) -> Shown:
    """The ladder with the actions at their rungs; an action of no rung of this guide is told apart."""
    rungs = response_ladder.ladder(page.case, page.guide)
    keys = {rung.key for rung in rungs}
    kinds = {kind.key: kind for kind in ActionKind.objects.select_related("connector")}
    records = _records(page, actions)
    tasks = hardening.proposals(page.case)
    return Shown(
        [
            _shown(
                rung,
                [one for one in actions if one.stage == rung.key],
                page.case,
                kinds,
                records,
                tasks if rung.hardens else (),
            )
            for rung in rungs
        ],
        [one for one in actions if one.stage not in keys],
    )


def is_moving(shown: Shown, actions: Sequence[ResponseAction]) -> bool:
    """Whether something goes on that no person has to do."""
    waits = ("approved", "running", "unknown")
    is_acting = any(one.state in waits and not response_results.is_for_people(one) for one in actions)
    return is_acting or any(one.state == "running" for step in shown.rungs for one in step.records)


def seen(shown: Shown, actions: Sequence[ResponseAction]) -> str:
    """What tells two states of the ladder apart."""
    said: list[object] = [(one.pk, one.state, one.says, one.proof, one.handed_to) for one in actions]
    said += [(step.records, step.note, [one.offer for one in step.offers]) for step in shown.rungs]
    return hashlib.sha256(repr(said).encode("utf-8", "replace")).hexdigest()[:16]


def _shown(
    rung: Rung,
    actions: Sequence[ResponseAction],
    case: Case,
    kinds: Mapping[str, ActionKind],
    records: Mapping[str, Record],
    tasks: Sequence[Proposal],
) -> ShownRung:
    taken = {one.kind.key for one in actions if one.state in (*MOVING, "succeeded")}
    moving = {one.kind.key for one in actions if one.state in MOVING}
    offers = [offer for offer in rung.offers if case.is_open or offer.spec.key in taken]
    # What is done by itself is not asked for a second time while it is under way.
    offers = [one for one in offers if not (one.spec.usual_reason and one.spec.key in moving)]
    held = [records[offer.spec.key] for offer in rung.offers if offer.spec.key in records]
    state, note = _standing(rung, actions, held, tasks)
    needs = _needed_by_all(offers)
    shown = [_offer(one, needs, kinds, taken) for one in offers]
    return ShownRung(rung, state, note, needs, actions, shown, held, tasks)


def _needed_by_all(offers: Sequence[Offer]) -> list[Condition]:
    """What every one of several offers needs, and each finds the same of: it is said once."""
    if len(offers) < 2:
        return []
    first, *others = offers
    return [one for one in first.conditions if all(one in other.conditions for other in others)]


def _offer(
    offer: Offer, said: Sequence[Condition], kinds: Mapping[str, ActionKind], taken: set[str]
) -> ShownOffer:
    kind = kinds.get(offer.spec.key)
    needs_approval = (kind.needs_approval if kind else offer.spec.needs_approval) or offer.spec.is_destructive
    if executor_of(offer.spec.key) is not None:
        by = "Casewright"
    else:
        by = kind.connector.name if kind and kind.connector else "by hand"
    is_one_click = bool(offer.spec.usual_reason) and not needs_approval
    needs = [one for one in offer.conditions if one not in said]
    return ShownOffer(offer, needs, by, needs_approval, is_one_click, offer.spec.key in taken)


def _records(page: CasePage, actions: Sequence[ResponseAction]) -> dict[str, Record]:
    """The newest pack and search, by the kind of action that would have made them, unless one did."""
    made = {(one.kind.key, one.external_id) for one in actions}
    beginning = {one.kind.key for one in actions if one.state in MOVING and not one.external_id}
    pack = CasePack.objects.visible_to(page.actor).filter(case=page.case).order_by("-number").first()
    run = ScopeRun.objects.visible_to(page.actor).filter(case=page.case).order_by("-number").first()
    found: dict[str, Record] = {}
    if pack is not None and PRESERVE not in beginning and (PRESERVE, str(pack.pk)) not in made:
        found[PRESERVE] = _of_pack(pack, page.case)
    if run is not None and SEARCH not in beginning and (SEARCH, str(run.pk)) not in made:
        found[SEARCH] = _of_search(run, page.case)
    return found


def _of_pack(pack: CasePack, case: Case) -> Record:
    pack.case = case
    states: dict[str, tuple[str, str]] = {
        PackState.SUCCEEDED: ("succeeded", f"Made {pack.asked_at:%Y-%m-%d %H:%M} UTC."),
        PackState.FAILED: ("failed", pack.reason),
    }
    state, says = states.get(pack.state, ("running", "It is being made."))
    return Record(state, pack.name, says, f"{reverse('case_report', args=[case.pk])}#packs")


def _of_search(run: ScopeRun, case: Case) -> Record:
    states: dict[str, tuple[str, str]] = {
        ScopeRunState.SUCCEEDED: ("succeeded", f"{run.hosts_reporting:,} hosts report."),
        ScopeRunState.PARTIAL: ("succeeded", run.reason),
        ScopeRunState.FAILED: ("failed", run.reason),
    }
    state, says = states.get(run.state, ("running", "It is under way."))
    url = f"{reverse('case_scope', args=[case.pk])}?run={run.number}"
    return Record(state, f"Search {run.number} of other hosts", says, url)


def link_of(action: ResponseAction) -> dict[str, Any] | None:
    """Where the result of what the product did itself is seen, None for any other action."""
    if action.state != "succeeded" or not action.external_id.isdecimal():
        return None
    if action.kind.key == PRESERVE:
        return {"text": "Download the pack", "url": reverse("pack_file", args=[action.external_id])}
    if action.kind.key == SEARCH:
        number = action.output.get("search", "")
        url = f"{reverse('case_scope', args=[action.case_id])}?run={number}"
        return {"text": "See the hosts", "url": url}
    return None


def _standing(
    rung: Rung, actions: Sequence[ResponseAction], records: Sequence[Record], tasks: Sequence[Proposal]
) -> tuple[str, str]:
    moving = sum(one.state in MOVING for one in actions)
    moving += sum(record.state == "running" for record in records)
    in_force = sum(one.is_containment and one.is_in_force and one.undoes_id is None for one in actions)
    done = sum(one.state in ("succeeded", "undone") for one in actions)
    done += sum(record.state == "succeeded" for record in records)
    if moving:
        return "running", f"{in_force} in force, {moving} under way" if in_force else f"{moving} under way"
    if in_force:
        return "active", f"{in_force} in force"
    if done:
        return "done", f"{done} done"
    if rung.hardens:
        return _hardening(tasks)
    if rung.is_advice:
        return "open", "advice"
    if rung.is_open:
        return "open", f"{sum(offer.is_offered for offer in rung.offers)} can be asked for"
    lacking = next((offer.lacking[0] for offer in rung.offers if offer.lacking), None)
    return "locked", _needs(lacking.key if lacking else "")


def _hardening(tasks: Sequence[Proposal]) -> tuple[str, str]:
    tracked = [one.task for one in tasks if one.task is not None]
    finished = sum(task.done_at is not None for task in tracked)
    if not tracked:
        return "open", f"{len(tasks)} proposed" if tasks else "nothing proposed"
    if finished == len(tracked) == len(tasks):
        return "done", f"{finished} done"
    return "open", f"{len(tracked)} of {len(tasks)} tracked"


def _needs(key: str) -> str:
    return {
        "gate_open": "needs an open gate",
        "evidence_preserved": "needs preserved evidence",
        "disposition_malicious": "needs a malicious verdict",
        "scope_known": "needs a search of other hosts",
        "isolation_permitted": "needs a role that permits it",
    }.get(key, "not open yet")
