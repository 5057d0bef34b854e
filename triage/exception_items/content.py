"""What an exception says: entries, read from a form or an import with a fault for each thing that is wrong.

Entries AND inside an item, items OR. All entries of one alert scope (`event`, `process`, `network`) speak of
one and the same event of the alert; all `some` entries of one recovered scope of one and the same recovered
event. An entry with `none` or `every` stands for itself. Overview: docs/exceptions.md.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from detections.journal import canonical_json
from detections.models import RuleVersion
from triage.enums import ExceptionOperator, ExceptionQuantity, ExceptionScope
from triage.models import ExceptionVersion

ALERT_SCOPES = frozenset({ExceptionScope.EVENT, ExceptionScope.PROCESS, ExceptionScope.NETWORK})
RECOVERED_SCOPES = frozenset(ExceptionScope) - ALERT_SCOPES
# The other side of a connection, whichever end the sensor calls the source; derived, so no field of ECS.
REMOTE_IP = "remote.ip"
# Behind the name of a field: its elements, whole.
ELEMENTS = "{}"
MOST_ENTRIES = 30
MOST_VALUES = 100
MOST_LENGTH = 8_000
LONGEST = timedelta(days=366)
_Q = ExceptionQuantity


@dataclass(frozen=True, slots=True)
class Entry:
    """One clause.

    field: a dotted ECS name or `remote.ip`; "" only with `exists` on recovered evidence: any such event.
    negated: alert scopes only; the field must be there and hold none of the values. For recovered evidence
    quantity says it: `none` of the events, or `every` one of them. values: for `is` one, for `in_list` none.
    value_list: the name of a value list. evidence: primary key of the evidence row that it was taken from.
    inner: for `nested`, entries that one and the same element of the field satisfies, fields named within it.
    """

    scope: ExceptionScope
    field: str
    operator: ExceptionOperator
    values: tuple[str, ...] = ()
    quantity: ExceptionQuantity = ExceptionQuantity.SOME
    negated: bool = False
    value_list: str = ""
    evidence: int | None = None
    inner: tuple["Entry", ...] = ()

    @property
    def reads(self) -> str:
        """What of an event it looks at: its field, or the elements under it."""
        return f"{self.field}{ELEMENTS}" if self.inner else self.field

    @property
    def is_recovered(self) -> bool:
        return self.scope in RECOVERED_SCOPES

    @property
    def needs_coverage(self) -> bool:
        """Whether silence is part of what it says, so that the telemetry must be known to be there."""
        return self.quantity != ExceptionQuantity.SOME


@dataclass(frozen=True, slots=True)
class Content:
    """Everything that a person answers for; what a version holds and an approval binds to.

    rule_version: the rule as it is now. starts_at None: as soon as it is approved. expires_at None and empty
    texts: only in a draft.
    """

    name: str
    rule_version: RuleVersion
    entries: tuple[Entry, ...]
    reason: str = ""
    change_record: str = ""
    owner: str = ""
    starts_at: datetime | None = None
    expires_at: datetime | None = None

    @property
    def sha256(self) -> str:
        """SHA-256 hex over canonical JSON of all of it but the name, and of the rule's version."""
        content = [
            self.rule_version.rule.rule_id,
            self.rule_version.sha256,
            [entry_data(entry) for entry in self.entries],
            self.reason,
            self.change_record,
            self.owner,
            self.starts_at.isoformat() if self.starts_at else None,
            self.expires_at.isoformat() if self.expires_at else None,
        ]
        return hashlib.sha256(canonical_json(content).encode()).hexdigest()


def content_of(version: ExceptionVersion) -> Content:
    """The content of a stored version. Raises ValueError if its entries can't be read."""
    if version.rule_version is None:
        raise ValueError(f"{version.label} names no version of its rule.")
    return Content(
        name=version.item.name,
        rule_version=version.rule_version,
        entries=entries_of(version.entries),
        reason=version.reason,
        change_record=version.change_record,
        owner=version.owner,
        starts_at=version.starts_at,
        expires_at=version.expires_at,
    )


def entry_data(entry: Entry) -> dict[str, Any]:
    """An entry as it is stored and hashed."""
    # What has no elements is stored, and hashed, as before there were any.
    inner = {"inner": [entry_data(one) for one in entry.inner]} if entry.inner else {}
    return {
        "scope": entry.scope.value,
        "field": entry.field,
        "operator": entry.operator.value,
        "values": list(entry.values),
        "quantity": entry.quantity.value,
        "negated": entry.negated,
        "value_list": entry.value_list,
        "evidence": entry.evidence,
        **inner,
    }


def entries_of(stored: Any) -> tuple[Entry, ...]:
    """Stored entries. Raises ValueError for what is not of their shape, so that nothing is guessed."""
    if not isinstance(stored, list) or not stored:
        raise ValueError("The entries are no list, or none at all.")
    return tuple(_entry_of(each) for each in stored)


def _entry_of(stored: Any) -> Entry:
    if not isinstance(stored, Mapping):
        raise ValueError("An entry is no object.")  # noqa: TRY004 -- one error for all that can't be read
    values = stored.get("values", [])
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise ValueError("An entry's values are no list of texts.")
    evidence = stored.get("evidence")
    return Entry(
        scope=ExceptionScope(str(stored.get("scope"))),
        field=str(stored.get("field", "")),
        operator=ExceptionOperator(str(stored.get("operator"))),
        values=tuple(values),
        quantity=ExceptionQuantity(stored.get("quantity", "some")),
        negated=bool(stored.get("negated", False)),
        value_list=str(stored.get("value_list", "")),
        evidence=evidence if isinstance(evidence, int) else None,
        inner=entries_of(stored["inner"]) if "inner" in stored else (),
    )


_WORDS = {
    ExceptionOperator.IS: ("is", "is not"),
    ExceptionOperator.IS_ONE_OF: ("is one of", "is none of"),
    ExceptionOperator.MATCHES: ("matches", "does not match"),
    ExceptionOperator.CIDR: ("is in", "is not in"),
    ExceptionOperator.EXISTS: ("exists", "does not exist"),
    ExceptionOperator.IN_LIST: ("is in the list", "is not in the list"),
    ExceptionOperator.NESTED: ("has an element with", "has no element with"),
}


def subject_words(entry: Entry) -> str:
    """What the entry speaks of: "the alert's process event", "no child process", "each DNS lookup"."""
    label = str(entry.scope.label)
    if not entry.is_recovered:
        return label
    if entry.quantity == _Q.NONE:
        return f"no {label}"
    return f"each {label}" if entry.quantity == _Q.EVERY else f"a {label} of the process"


def operator_words(entry: Entry) -> str:
    """The operator as people say it, its negation included."""
    return _WORDS[entry.operator][entry.negated]


def sentence(entry: Entry) -> str:
    """The entry in one line, its values included; they are data and must be escaped like any other."""
    if not entry.field:
        return subject_words(entry)
    return f"{subject_words(entry)}: {_condition(entry)}"


def _condition(entry: Entry) -> str:
    said = entry.value_list or ", ".join(entry.values) or " and ".join(map(_condition, entry.inner))
    return f"{entry.field} {operator_words(entry)} {said}".rstrip()


def difference(old: Sequence[Entry], new: Sequence[Entry]) -> tuple[list[Entry], list[Entry]]:
    """Entries that went, and entries that came, in their order."""
    return [one for one in old if one not in new], [one for one in new if one not in old]
