"""How far a case's evidence is preserved: its newest pack against its newest alert."""

from dataclasses import dataclass

from django.db.models import Max

from triage.models import Case, CasePack
from triage.preserve.preserved import KEPT

LONGEST = 4000


@dataclass(frozen=True, slots=True)
class Preservation:
    """pack: the newest that was made. making: one that is under way. is_current: no alert came after it was
    asked for. says: how it stands, in a sentence."""

    pack: CasePack | None
    making: CasePack | None
    is_current: bool
    says: str


def of_case(case: Case) -> Preservation:
    """How the case stands. Two queries."""
    packs = list(CasePack.objects.filter(case=case).exclude(state="failed").order_by("-number"))
    for pack in packs:
        pack.case = case
    made = next((pack for pack in packs if not pack.is_under_way), None)
    making = next((pack for pack in packs if pack.is_under_way), None)
    last = case.occurrences.aggregate(last=Max("added_at"))["last"]
    is_current = made is not None and (last is None or last <= made.asked_at)
    return Preservation(made, making, is_current, _says(made, making, is_current))


def _says(made: CasePack | None, making: CasePack | None, is_current: bool) -> str:
    if made is not None and is_current:
        return f"The evidence is preserved in {made.name}, {made.asked_at:%Y-%m-%d %H:%M} UTC."
    if making is not None:
        return f"{making.name} is being made: wait for it."
    if made is not None:
        return f"New alerts came after {made.name} was asked for: preserve the evidence again."
    return "Preserve the evidence first: containing and removing changes what is there."


def evidence_preserved(case: Case) -> bool:
    """Whether a pack of the case was made since its last alert came."""
    return of_case(case).is_current


def preserved_text(case: Case) -> str:
    """What the newest pack holds, as an escalation lists it; "" where none counts."""
    found = of_case(case)
    if found.pack is None or not found.is_current:
        return ""
    pack = found.pack
    held = [f"- {one['label']}: {one['text']}" for one in pack.kept if one["state"] == KEPT]
    lacks = [f"- Not preserved: {one['label']}: {one['text']}" for one in pack.kept if one["state"] != KEPT]
    return "\n".join([f"{pack.name}, SHA-256 {pack.sha256}", *held, *lacks])[:LONGEST]


def lacking(pack: CasePack) -> list[str]:
    """What the guide names and the pack could not preserve, by its label."""
    return [str(one["label"]) for one in pack.kept if one["state"] not in (KEPT, "absent")]
