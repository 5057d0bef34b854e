"""What holds for an exception and what stands against it, as ticks: the guardrails with their good news."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from triage.exception_items.content import Content
from triage.exception_items.guardrails import (
    DEFAULT_ANCHORS,
    Guardrail,
    Level,
    Seen,
    guardrails,
    stands_on,
)
from triage.guides.model import Guide

OK = "ok"


@dataclass(frozen=True, slots=True)
class Tick:
    """One line. state: `ok`, `refused`, `share` or `warning`. quotes: the guide's sentence behind it, or "".
    entry: the position of the entry that it is about, None for the whole."""

    state: str
    says: str
    quotes: str = ""
    entry: int | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """The ticks of one content, what stands against it first."""

    ticks: tuple[Tick, ...]

    @property
    def held(self) -> int:
        return sum(tick.state == OK for tick in self.ticks)

    @property
    def refused(self) -> int:
        return sum(tick.state == Level.REFUSED.value for tick in self.ticks)

    @property
    def exceeds_share(self) -> bool:
        return any(tick.state == Level.SHARE.value for tick in self.ticks)

    @property
    def to_weigh(self) -> int:
        return len(self.ticks) - self.held - self.refused


def judged(content: Content, guide: Guide, *, seen: Seen, now: datetime) -> Judged:
    """Every guardrail with what came of it. Reads nothing."""
    found = guardrails(content, guide, seen=seen, now=now)
    against = [Tick(one.level.value, one.says, one.quotes, one.entry) for one in found]
    return Judged((*against, *_good(content, guide, found, seen, now)))


def _good(
    content: Content, guide: Guide, found: Sequence[Guardrail], seen: Seen, now: datetime
) -> Iterator[Tick]:
    codes = {one.code for one in found}
    for anchor in guide.anchors or DEFAULT_ANCHORS:
        if anchor.is_required and stands_on(content, anchor):
            fields = " or ".join((anchor.field, *anchor.others))
            yield Tick(OK, f"Names {fields}. {anchor.says}".strip(), anchor.quotes)
    if "alone" not in codes and content.entries:
        yield Tick(OK, "Rests on more than what the guide refuses alone.")
    if "takes_everything" not in codes and content.entries:
        yield Tick(OK, "No wildcard or network takes everything that was seen.")
    if "share" not in codes and seen.alerts:
        says = f"{seen.held} of the rule's last {seen.alerts} alerts have such events."
        yield Tick(OK, says)
    if content.expires_at and not codes & {"no_expiry", "expired", "too_long"}:
        yield Tick(OK, f"Ends within {max((content.expires_at - now).days, 1)} days.")
    if not codes & {"no_owner", "no_reason"}:
        answers = content.change_record or content.owner
        yield Tick(OK, f"Says why, and who answers for it: {answers}.")
