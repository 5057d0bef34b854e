"""What an exception must not do, whoever asks for it and through whichever door.

Demands and refusals of a guide are data of its overlay; where it has none, sound defaults stand in.
"""

import ipaddress
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from django.utils import timezone

from detections.models import Alert, Rule
from triage.enums import ExceptionOperator, ExceptionQuantity
from triage.exception_items.content import ALERT_SCOPES, LONGEST, REMOTE_IP, Content, Entry, content_of
from triage.exception_items.evaluation import Subject, subject_of
from triage.exception_items.matching import Clause, compiled_content, holds_of_alert
from triage.guide_versions import in_force, worked_guide
from triage.guides.model import DEFAULT_SHARE, Anchor, Guide, Refusal
from triage.models import ExceptionVersion

SEEN_FOR = timedelta(days=30)
MOST_SEEN = 2_000
# Below this many alerts a share says nothing.
LEAST_ALERTS = 10
_O = ExceptionOperator
_SOURCES = frozenset({REMOTE_IP, "source.ip"})
DEFAULT_ANCHORS = (
    Anchor(
        REMOTE_IP,
        is_required=True,
        says="A source or a host: what ties the exception to one place.",
        others=("source.ip", "host.id", "host.name", "host.ip"),
    ),
)
DEFAULT_REFUSALS = (
    Refusal(("process.name",), says="A name alone is what an intruder would choose."),
    Refusal(
        ("source.port", "destination.port", "network.direction", "network.transport"),
        says="Ports alone tell no caller from another.",
    ),
    Refusal(
        ("user.name", "user.id", "user.domain"), says="A familiar account is what an intruder would use."
    ),
    Refusal(
        ("process.name", "source.port", "destination.port", "user.name"),
        says="None of these ties the exception to a workflow that was confirmed.",
    ),
)


class Level(Enum):
    """refused: by nobody's leave. share: by leave of who may exceed it. warning: worth a second look."""

    REFUSED = "refused"
    SHARE = "share"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Guardrail:
    """One objection. quotes: the guide's sentence behind it, "" if it is the product's own. entry: its
    position, None if it is about the whole. field: of the form that it belongs to."""

    code: str
    level: Level
    says: str
    quotes: str = ""
    entry: int | None = None
    field: str = "entries"


@dataclass(frozen=True, slots=True)
class Seen:
    """What the rule's stored alerts of the last weeks say. alerts: looked at; held: those whose own events
    satisfy it; everything: positions of entries that match each of several values seen."""

    alerts: int = 0
    held: int = 0
    everything: frozenset[int] = frozenset()


def of_version(version: ExceptionVersion) -> list[Guardrail]:
    """Everything that stands against a stored version now."""
    content, now = content_of(version), timezone.now()
    guide = guide_of_rule(version.item.rule)
    return guardrails(content, guide, seen=seen_of(content, now=now), now=now)


def guide_of_rule(rule: Rule) -> Guide:
    """The guide in force of a rule, with its policy for exceptions; without one, the defaults hold."""
    pinned = in_force(rule)
    return worked_guide(pinned) if pinned else Guide(title=rule.name)


def guardrails(content: Content, guide: Guide, *, seen: Seen, now: datetime) -> list[Guardrail]:
    """Refusals first, then the share, then warnings."""
    found = [
        *_formalities(content, now),
        *_anchors(content, guide),
        *_refusals(content, guide),
        *_wide(content, seen),
        *_share(guide, seen),
        *_warnings(content),
    ]
    order = list(Level)
    return sorted(found, key=lambda one: order.index(one.level))


def seen_of(content: Content, *, now: datetime) -> Seen:
    """Look through the rule's newest stored alerts. One query. Raises ValueError for an unknown list."""
    rows = Alert.objects.filter(rule=content.rule_version.rule_id, detected_at__gte=now - SEEN_FOR)
    return seen_in(content, [subject_of(alert) for alert in rows.order_by("-pk")[:MOST_SEEN]])


def seen_in(content: Content, subjects: Sequence[Subject]) -> Seen:
    """What these alerts say of it. Raises ValueError for an unknown list."""
    item = compiled_content(content)
    everything = {number for number, clause in enumerate(item.clauses) if _takes_everything(clause, subjects)}
    held = sum(holds_of_alert(item, subject) for subject in subjects)
    return Seen(len(subjects), held, frozenset(everything))


def _takes_everything(clause: Clause, subjects: Sequence[Subject]) -> bool:
    entry = clause.entry
    if entry.is_recovered or entry.operator not in (_O.MATCHES, _O.CIDR) or entry.negated:
        return False
    values = {value for subject in subjects for value in subject.all_values(entry.field)}
    return len(values) > 1 and all(map(clause.test, values))


# -- what every exception needs


def _formalities(content: Content, now: datetime) -> Iterator[Guardrail]:
    def refused(code: str, field: str, says: str) -> Guardrail:
        return Guardrail(code, Level.REFUSED, says, field=field)

    if not content.entries:
        yield refused("no_entries", "entries", "Without an entry it would hide every alert of the rule.")
    if not content.reason.strip():
        yield refused("no_reason", "reason", "Say why these alerts may be hidden.")
    if not content.owner.strip() and not content.change_record.strip():
        yield refused("no_owner", "owner", "Name the owner of the workflow, or a change record.")
    begins = max(now, content.starts_at or now)
    if content.expires_at is None:
        yield refused("no_expiry", "expires_at", "Say when it ends: nothing is hidden for ever.")
    elif content.expires_at <= begins:
        yield refused("expired", "expires_at", "It would end before it begins.")
    elif content.expires_at > begins + LONGEST:
        yield refused("too_long", "expires_at", "It may last a year at most. Renew it then.")


def _is_anchor(entry: Entry) -> bool:
    """Whether an entry demands that something is seen; what only rules out ties it to nothing."""
    if entry.negated or entry.quantity is not ExceptionQuantity.SOME or entry.operator is _O.EXISTS:
        return False
    return not (entry.operator is _O.MATCHES and not entry.values[0].strip("*?"))


def _names(entry: Entry, wanted: str) -> bool:
    scope, _, field = wanted.rpartition(":")
    if scope:
        return entry.scope.value == scope and entry.field == field
    return entry.field == field and (field not in _SOURCES or entry.scope in ALERT_SCOPES)


def stands_on(content: Content, anchor: Anchor) -> bool:
    """Whether an entry demands what the anchor names."""
    held = [entry for entry in content.entries if _is_anchor(entry)]
    return any(_names(entry, one) for entry in held for one in (anchor.field, *anchor.others))


def _anchors(content: Content, guide: Guide) -> Iterator[Guardrail]:
    for anchor in guide.anchors or DEFAULT_ANCHORS:
        if not anchor.is_required or stands_on(content, anchor):
            continue
        fields = " or ".join((anchor.field, *anchor.others))
        says = f"It lacks {fields}. {anchor.says}".strip()
        yield Guardrail("no_anchor", Level.REFUSED, says, anchor.quotes or _sentence(guide, anchor.field))


def _refusals(content: Content, guide: Guide) -> Iterator[Guardrail]:
    """The first of the guide's refusals that takes in all that the exception stands on."""
    held = [entry for entry in content.entries if _is_anchor(entry)]
    for refusal in guide.false_positives.refusals or DEFAULT_REFUSALS:
        if held and all(_is_refused(entry, refusal) for entry in held):
            quotes = refusal.quotes or _sentence(guide, refusal.fields[0])
            yield Guardrail("alone", Level.REFUSED, refusal.says, quotes)
            return


def _is_refused(entry: Entry, refusal: Refusal) -> bool:
    if entry.field not in refusal.fields:
        return False
    held = {value.lower() for value in refusal.values}
    return not held or entry.operator is not _O.IS or any(value.lower() in held for value in entry.values)


def _sentence(guide: Guide, field: str) -> str:
    """The last sentence of the guide's analysis that names the field."""
    sentences = [part.strip() for point in guide.false_positives.points for part in point.split(". ")]
    return next((one for one in reversed(sentences) if f"`{field}`" in one), "")


# -- how much it hides


def _wide(content: Content, seen: Seen) -> Iterator[Guardrail]:
    for number, entry in enumerate(content.entries):
        is_all = entry.operator is _O.MATCHES and not entry.values[0].strip("*?")
        is_all = is_all or (entry.operator is _O.CIDR and any(value.endswith("/0") for value in entry.values))
        if is_all or number in seen.everything:
            says = f"{entry.field} {' '.join(entry.values)[:200]} takes everything that was seen."
            yield Guardrail("takes_everything", Level.REFUSED, says, entry=number)


def _share(guide: Guide, seen: Seen) -> Iterator[Guardrail]:
    limit = guide.false_positives.max_share or DEFAULT_SHARE
    if seen.alerts >= LEAST_ALERTS and seen.held * 100 > limit * seen.alerts:
        says = (
            f"{seen.held} of the rule's last {seen.alerts} alerts have such events: more than {limit} %. "
            "Somebody with the permission to exceed the share has to approve it."
        )
        yield Guardrail("share", Level.SHARE, says)


def _warnings(content: Content) -> Iterator[Guardrail]:
    for number, entry in enumerate(content.entries):
        if says := _weak(entry):
            yield Guardrail("weak", Level.WARNING, says, entry=number)
    if content.entries and not any(entry.needs_coverage for entry in content.entries):
        says = "It rules nothing out: an alert with another child process or connection is hidden as well."
        yield Guardrail("nothing_ruled_out", Level.WARNING, says)


def _weak(entry: Entry) -> str:
    if entry.operator is _O.CIDR and any(_is_wide(value) for value in entry.values):
        return f"{' '.join(entry.values)} is a wide network."
    if entry.operator is _O.MATCHES and len(entry.values[0].replace("*", "").replace("?", "")) < 8:
        return f"{entry.values[0]} fixes few characters."
    if entry.operator is _O.IS_ONE_OF and len(entry.values) > 20:
        return f"{entry.field} takes {len(entry.values)} values: a value list has an approval of its own."
    if any(".xn--" in f".{value}" for value in entry.values):
        return f"{entry.field} names an international domain: look at how it reads."
    return ""


def _is_wide(text: str) -> bool:
    network = ipaddress.ip_network(text, strict=False)
    return network.prefixlen < (24 if network.version == 4 else 64)
