"""The form of an exception as it stands: what was typed, row by row, and what is wrong with it."""

import json
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from dataclasses import field as made
from datetime import UTC, datetime, time, timedelta
from typing import Any

from django.http import QueryDict

from detections.actors import Actor
from triage.enums import ExceptionOperator, ExceptionQuantity, ExceptionScope
from triage.exception_items.content import MOST_ENTRIES, Entry
from triage.exception_items.forms import Fault
from triage.exception_items.proposal import Suggested
from triage.exception_items.selectivity import HOST_ID, Alone, stored_field
from triage.models import Case, Evidence, ExceptionVersion

TEXTS = ("rule", "name", "reason", "change_record", "owner", "starts_at", "expires_at")
_PARTS = ("scope", "field", "operator", "values", "quantity", "value_list", "evidence")
_DEFAULTS = {"scope": "event", "operator": "is", "quantity": "some"}


@dataclass
class Row:
    """One entry as it was typed. values: one a line. says: why it was suggested. evidence: where its value
    comes from; number: its name in the form, which stays when rows above it go."""

    number: int
    scope: str = "event"
    field: str = ""
    operator: str = "is"
    values: str = ""
    quantity: str = "some"
    negated: bool = False
    value_list: str = ""
    evidence: str = ""
    says: str = ""
    origin: Evidence | None = None
    alone: Alone | None = None
    asked_as: str = ""
    faults: dict[str, list[str]] = made(default_factory=dict)

    @property
    def value_faults(self) -> list[str]:
        """In a template, `faults.values` would be the method of the dictionary."""
        return self.faults.get("values", [])

    @property
    def is_blank(self) -> bool:
        """Added and left alone; "no child process" has no field either, but an operator."""
        return (
            not (self.field.strip() or self.values.strip() or self.value_list) and self.operator != "exists"
        )

    @property
    def is_recovered(self) -> bool:
        return self.scope not in ("event", "process", "network")

    @property
    def lines(self) -> int:
        """How high its text stands."""
        return min(max(self.values.count("\n") + 1, 1), 8)

    @property
    def first_value(self) -> str:
        return next((line for line in self.values.splitlines() if line.strip()), "")

    @property
    def asked_vals(self) -> str:
        """What htmx sends to have the store looked at, as JSON."""
        return json.dumps({"field": self.asked_as, "value": self.first_value})

    @property
    def field_id(self) -> str:
        return f"{self.number}-field"

    @property
    def values_id(self) -> str:
        return f"{self.number}-values"

    def data(self) -> dict[str, Any]:
        """As `read_content` wants it."""
        return {**{name: getattr(self, name) for name in _PARTS}, "negated": self.negated}


@dataclass
class Form:
    """A whole form. revision: of the version that is edited, 0 for a new exception."""

    texts: dict[str, str]
    rows: list[Row]
    revision: int = 0
    faults: dict[str, list[str]] = made(default_factory=dict)

    @property
    def kept(self) -> list[Row]:
        """The rows that say something."""
        return [row for row in self.rows if not row.is_blank]

    def data(self) -> dict[str, Any]:
        """As `read_content` wants it."""
        return {**self.texts, "entries": [row.data() for row in self.kept]}

    def blame(self, faults: Iterable[Fault]) -> None:
        """Put each fault to its field."""
        kept = self.kept
        for fault in faults:
            is_of_row = fault.entry is not None and fault.entry < len(kept)
            place = kept[fault.entry or 0].faults if is_of_row else self.faults
            place.setdefault(fault.field, []).append(fault.says)

    def add(self) -> Row:
        """A blank row at the end."""
        row = Row(max((one.number for one in self.rows), default=-1) + 1)
        if len(self.rows) <= MOST_ENTRIES:
            self.rows.append(row)
        return row

    def remove(self, number: int) -> None:
        self.rows = [row for row in self.rows if row.number != number]

    def change_hosts(self, *, add: Set[str], remove: Set[str]) -> None:
        """Add hosts to the entry on host.id and take some away; what else was typed there stays."""
        row = self._of_hosts()
        typed = [text for line in (row.values if row else "").splitlines() if (text := line.strip())]
        hosts = [one for one in typed if one not in remove]
        self.take_hosts([*hosts, *sorted(add - set(hosts))])

    def _of_hosts(self) -> Row | None:
        return next((one for one in self.rows if one.field == HOST_ID and not one.negated), None)

    def take_hosts(self, hosts: Sequence[str]) -> None:
        """Make the entry on host.id name exactly these."""
        row = self._of_hosts()
        if row is None:
            row = self.add()
            row.field = HOST_ID
        row.values = "\n".join(hosts)
        row.operator, row.value_list = ("is" if len(hosts) == 1 else "is_one_of"), ""


# -- where a form comes from


def of_suggestion(made: Suggested) -> Form:
    texts = {name: str(getattr(made, name, "")) for name in TEXTS}
    texts |= {"rule": made.rule.rule_id, "starts_at": "", "expires_at": f"{made.expires_at:%Y-%m-%d}"}
    rows = [_row(number, one.entry, one.says) for number, one in enumerate(made.entries)]
    return Form(texts, rows)


def of_version(version: ExceptionVersion, entries: Sequence[Entry]) -> Form:
    texts = {
        "rule": version.item.rule.rule_id,
        "name": version.item.name,
        "reason": version.reason,
        "change_record": version.change_record,
        "owner": version.owner,
        "starts_at": moment_text(version.starts_at),
        "expires_at": moment_text(version.expires_at, is_end=True),
    }
    return Form(texts, [_row(n, one) for n, one in enumerate(entries)], revision=version.revision)


def of_post(posted: QueryDict) -> Form:
    """What was typed, whole: a form that is refused comes back as it was."""
    numbers = [int(one) for one in posted.getlist("row") if one.isascii() and one.isdigit() and len(one) < 6]
    rows = [_posted(number, posted) for number in dict.fromkeys(numbers)]
    texts = {name: posted.get(name, "") for name in TEXTS}
    return Form(texts, rows, revision=number_of(posted.get("revision", "")))


def number_of(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def _posted(number: int, posted: Mapping[str, str]) -> Row:
    row = Row(number, negated=posted.get(f"{number}-negated", "") == "on")
    for name in (*_PARTS, "says"):
        setattr(row, name, posted.get(f"{number}-{name}", _DEFAULTS.get(name, "")))
    row.values = row.values.replace("\r\n", "\n")
    # What recovered evidence negates, its quantity says: the box is not shown for it.
    row.negated = row.negated and not row.is_recovered
    return row


def _row(number: int, entry: Entry, says: str = "") -> Row:
    return Row(
        number,
        scope=entry.scope.value,
        field=entry.field,
        operator=entry.operator.value,
        values="\n".join(entry.values),
        quantity=entry.quantity.value,
        negated=entry.negated,
        value_list=entry.value_list,
        evidence=str(entry.evidence or ""),
        says=says,
    )


def moment_text(moment: datetime | None, *, is_end: bool = False) -> str:
    """A moment as a person types it; the end of a day as that day."""
    if moment is None:
        return ""
    utc = moment.astimezone(UTC)
    if utc.timetz().replace(tzinfo=None) != time():
        return f"{utc:%Y-%m-%dT%H:%M:%SZ}"
    return f"{utc - timedelta(days=is_end):%Y-%m-%d}"


# -- what a page adds to it


def with_origins(rows: Sequence[Row], *, actor: Actor) -> None:
    """Give each row the evidence that its value comes from, as far as the actor may see it. One query."""
    wanted = [int(row.evidence) for row in rows if row.evidence.isascii() and row.evidence.isdigit()]
    found = evidence_of(wanted, actor=actor)
    for row in rows:
        row.origin = found.get(number_of(row.evidence))


def evidence_of(wanted: Iterable[int], *, actor: Actor) -> dict[int, Evidence]:
    """Rows of evidence with their pivot and case. One query."""
    ids = sorted({one for one in wanted if one < 2**31})
    if not ids:
        return {}
    seen = Evidence.objects.filter(pk__in=ids, pivot__case__in=Case.objects.visible_to(actor))
    return {row.pk: row for row in seen.defer("document").select_related("pivot__case")}


def with_selectivity(rows: Sequence[Row], entries: Sequence[Entry], alone: Sequence[Alone]) -> None:
    """Give each row what its entry alone holds of; the rows are those that were read, in their order."""
    for row, entry, one in zip(rows, entries, alone, strict=True):
        row.alone = one
        is_asked = entry.values and entry.operator in (ExceptionOperator.IS, ExceptionOperator.IS_ONE_OF)
        row.asked_as = stored_field(entry) if is_asked else ""


def choices() -> dict[str, list[tuple[str, str]]]:
    """The words of the menus."""
    return {
        "scopes": [(one.value, str(one.label)) for one in ExceptionScope],
        "operators": [(one.value, str(one.label)) for one in ExceptionOperator],
        "quantities": [(one.value, str(one.label)) for one in ExceptionQuantity],
    }
