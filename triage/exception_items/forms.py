"""What was typed, or came with an import, read into an exception: every fault at once, each at its field.

Nothing is changed silently: a value that is not what its field holds is refused with what to write instead.
"""

import ipaddress
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time, timedelta
from typing import Any

from confusable_homoglyphs import confusables
from django.utils import timezone

from detections.event_store import event_store
from detections.ingest.moments import TimeError, moment
from detections.models import Rule, RuleVersion
from triage.enums import ExceptionOperator, ExceptionQuantity, ExceptionScope
from triage.errors import ContentFaultsError
from triage.exception_items.content import (
    LONGEST,
    MOST_ENTRIES,
    MOST_LENGTH,
    MOST_VALUES,
    RECOVERED_SCOPES,
    REMOTE_IP,
    Content,
    Entry,
)
from triage.exception_items.evaluation import is_address, is_domain
from triage.models import ValueList

_O, _Q = ExceptionOperator, ExceptionQuantity
# What only a regular expression says. A dot before a star is left alone: `update.*` is a fine wildcard.
_REGEX = re.compile(
    r"^\.[*+]|^\^|[^\\]\.\+|\\[dwsDWSb][+{]|\[[^\]\\]+\][*+?{]?|\([^()]*\|[^()]*\)|\w\\\.\w{1,4}\$?$|[A-Za-z]:\\\\\w"
)
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_NAME_LENGTH = 255
_INNER = (_O.IS, _O.IS_ONE_OF, _O.MATCHES, _O.EXISTS, _O.CIDR)


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong. field: of the form, or of the entry at this position. says: what, and what to do."""

    field: str
    says: str
    entry: int | None = None

    def __str__(self) -> str:
        where = f"Entry {self.entry + 1}, {self.field}" if self.entry is not None else self.field
        return f"{where}: {self.says}"


@dataclass(slots=True)
class _Reading:
    """One form being read. known: field names of the deployment; lists: names of value lists."""

    data: Mapping[str, Any]
    known: Mapping[str, Any]
    lists: frozenset[str]
    now: datetime
    faults: list[Fault] = field(default_factory=list)

    def fault(self, name: str, says: str, entry: int | None = None) -> None:
        self.faults.append(Fault(name, says, entry))

    def text(self, name: str) -> str:
        return str(self.data.get(name) or "").strip()


def read_content(
    data: Mapping[str, Any],
    *,
    now: datetime | None = None,
    known: Mapping[str, Any] | None = None,
    is_draft: bool = False,
) -> Content:
    """A form's or an import's values as content. Format: docs/exceptions.md.

    known: field names, those of the event store by default. is_draft: reason, owner and end may still lack.
    Raises ContentFaultsError with everything that is wrong.
    """
    reading = _Reading(
        data,
        known if known is not None else event_store().known_fields(),
        frozenset(ValueList.objects.values_list("name", flat=True)),
        now or timezone.now(),
    )
    rule_version = _rule_version(reading)
    entries = _entries(reading)
    content = _texts(reading, entries, rule_version, is_draft=is_draft)
    if reading.faults or content is None:
        raise ContentFaultsError(reading.faults)
    return content


def _rule_version(reading: _Reading) -> RuleVersion | None:
    wanted = reading.text("rule")
    rule = Rule.objects.filter(rule_id=wanted).select_related("current").first()
    if rule is None or rule.current is None:
        reading.fault("rule", f"There is no rule {wanted!r} any more." if wanted else "Choose a rule.")
        return None
    return rule.current


def _texts(
    reading: _Reading, entries: tuple[Entry, ...], rule_version: RuleVersion | None, *, is_draft: bool
) -> Content | None:
    name = reading.text("name")
    if not name or len(name) > _NAME_LENGTH:
        reading.fault("name", f"Give it a name of at most {_NAME_LENGTH} characters.")
    starts_at, expires_at = _time(reading, "starts_at"), _time(reading, "expires_at")
    if not is_draft:
        _require(reading, expires_at)
    _check_end(reading, starts_at, expires_at)
    if rule_version is None:
        return None
    return Content(
        name=name,
        rule_version=rule_version,
        entries=entries,
        reason=reading.text("reason"),
        change_record=reading.text("change_record")[:255],
        owner=reading.text("owner")[:255],
        starts_at=starts_at,
        expires_at=expires_at,
    )


def _require(reading: _Reading, expires_at: datetime | None) -> None:
    if not reading.text("reason"):
        reading.fault("reason", "Say why these alerts may be hidden.")
    if not reading.text("owner") and not reading.text("change_record"):
        reading.fault("owner", "Name the owner of the workflow, or a change record.")
    if expires_at is None and not reading.text("expires_at"):
        reading.fault("expires_at", "Say when it ends: nothing is hidden for ever.")


def _time(reading: _Reading, name: str) -> datetime | None:
    value = reading.data.get(name)
    if isinstance(value, datetime):
        return value
    typed = reading.text(name)
    try:
        if _DAY.fullmatch(typed):
            day = datetime.strptime(typed, "%Y-%m-%d").date()  # noqa: DTZ007 -- a day has no zone
            return datetime.combine(day, time(), UTC) + timedelta(days=name == "expires_at")
        return moment(typed) if typed else None
    except (TimeError, ValueError) as error:
        reading.fault(name, f"{error}. Write 2026-12-31, or 2026-12-31T18:00Z.")
        return None


def _check_end(reading: _Reading, starts_at: datetime | None, expires_at: datetime | None) -> None:
    if expires_at is None:
        return
    begins = max(reading.now, starts_at or reading.now)
    if expires_at <= reading.now:
        reading.fault("expires_at", "That moment is past. Choose a later one.")
    elif expires_at <= begins:
        reading.fault("expires_at", "It would end before it starts.")
    elif expires_at > begins + LONGEST:
        reading.fault("expires_at", f"A year at most: up to {(begins + LONGEST):%Y-%m-%d}. Renew it then.")


def read_end(typed: str, *, now: datetime) -> datetime:
    """When a renewal ends, with the same demands as in a whole form. Raises ContentFaultsError."""
    reading = _Reading({"expires_at": typed}, {}, frozenset(), now)
    ends = _time(reading, "expires_at")
    _check_end(reading, None, ends)
    if ends is None and not reading.faults:
        reading.fault("expires_at", "Say when it ends: nothing is hidden for ever.")
    if ends is None or reading.faults:
        raise ContentFaultsError(reading.faults)
    return ends


# -- entries


def _entries(reading: _Reading) -> tuple[Entry, ...]:
    raw = reading.data.get("entries")
    if not isinstance(raw, Sequence) or isinstance(raw, str) or not raw:
        reading.fault("entries", "Add an entry: without one it would hide every alert of the rule.")
        return ()
    if len(raw) > MOST_ENTRIES:
        reading.fault(
            "entries", f"{len(raw):,} entries: at most {MOST_ENTRIES} can be reviewed as one contract."
        )
        return ()
    found = [_entry(reading, number, each) for number, each in enumerate(raw)]
    return tuple(entry for entry in found if entry is not None)


def _entry(reading: _Reading, number: int, raw: Any) -> Entry | None:
    if not isinstance(raw, Mapping):
        reading.fault("entries", "is no entry.", number)
        return None
    choices = {
        "scope": (ExceptionScope, "event"),
        "operator": (ExceptionOperator, ""),
        "quantity": (ExceptionQuantity, "some"),
    }
    chosen: dict[str, Any] = {}
    for name, (words, default) in choices.items():
        value = str(raw.get(name) or default)
        if value in words.values:
            chosen[name] = words(value)
        else:
            reading.fault(name, f"Choose one of: {', '.join(words.values)}.", number)
    if len(chosen) < len(choices):
        return None
    evidence, before = raw.get("evidence"), len(reading.faults)
    entry = Entry(
        scope=chosen["scope"],
        field=str(raw.get("field") or "").strip(),
        operator=chosen["operator"],
        values=_values(raw.get("values")),
        quantity=chosen["quantity"],
        negated=raw.get("negated") in (True, "true", "on", "1"),
        value_list=str(raw.get("value_list") or "").strip(),
        evidence=int(str(evidence)) if str(evidence or "").isdigit() else None,
        inner=_inner(reading, number, raw),
    )
    for fault in _entry_faults(reading, number, entry):
        reading.faults.append(fault)
    return _plain(entry) if len(reading.faults) == before else None


def _inner(reading: _Reading, number: int, raw: Mapping[str, Any]) -> tuple[Entry, ...]:
    """Conditions on the elements of a nested entry, which an import brings along."""
    found = []
    for each in raw.get("inner") or ():
        operator = each.get("operator") if isinstance(each, Mapping) else None
        if operator not in _INNER:
            reading.fault("inner", f"{operator!r} can't be asked of an element.", number)
            continue
        values, is_negated = _values(each.get("values")), each.get("negated") in (True, "true")
        name = str(each.get("field") or "")
        found.append(
            Entry(ExceptionScope.EVENT, name, ExceptionOperator(operator), values, negated=is_negated)
        )
    return tuple(found)


def _nested_faults(reading: _Reading, number: int, entry: Entry) -> Iterator[Fault]:
    if entry.operator is not _O.NESTED:
        if entry.inner:
            yield Fault("operator", "Conditions on elements belong to the operator `nested`.", number)
        return
    if not entry.inner or entry.values:
        says = (
            "Say what one of its elements has: such an entry comes from an import, and has no value itself."
        )
        yield Fault("values", says, number)
    for one in entry.inner:
        yield from _entry_faults(reading, number, replace(one, field=f"{entry.field}.{one.field}"))


def _values(raw: Any) -> tuple[str, ...]:
    """A list as it is; a text with a value a line."""
    if isinstance(raw, str):
        return tuple(line for line in raw.replace("\r\n", "\n").split("\n") if line.strip())
    if isinstance(raw, Sequence):
        return tuple(str(value) for value in raw if str(value) != "")
    return () if raw is None else (str(raw),)


def _plain(entry: Entry) -> Entry:
    """Recovered evidence has no negation but `none` and `every`; names and addresses lose outer blanks."""
    if is_address(entry.field) or is_domain(entry.field):
        entry = replace(entry, values=tuple(value.strip() for value in entry.values))
    if entry.operator is not _O.IN_LIST:
        entry = replace(entry, value_list="")
    if not entry.negated or entry.scope not in RECOVERED_SCOPES:
        return entry
    quantity = {_Q.SOME: _Q.NONE, _Q.NONE: _Q.EVERY, _Q.EVERY: _Q.NONE}[entry.quantity]
    return replace(entry, negated=False, quantity=quantity)


def _entry_faults(reading: _Reading, number: int, entry: Entry) -> Iterator[Fault]:
    is_recovered = entry.scope in RECOVERED_SCOPES
    if not entry.field:
        if not (is_recovered and entry.operator is _O.EXISTS):
            yield Fault("field", "Name a field.", number)
    elif entry.field != REMOTE_IP and entry.field not in reading.known and not entry.inner:
        says = f"{entry.field} is no field of ECS, of an integration, or of anything that was seen here."
        yield Fault("field", says, number)
    if not is_recovered and entry.quantity is not _Q.SOME:
        says = "Of the alert's own events say `some`, and negate the operator."
        yield Fault("quantity", says, number)
    yield from _nested_faults(reading, number, entry)
    yield from _count_faults(reading, number, entry)
    for value in entry.values[: MOST_VALUES + 1]:
        if says := _value_fault(entry, value):
            yield Fault("values", says, number)


def _count_faults(reading: _Reading, number: int, entry: Entry) -> Iterator[Fault]:
    count = len(entry.values)
    if entry.operator is _O.IN_LIST:
        if entry.value_list not in reading.lists:
            yield Fault("value_list", f"There is no value list {entry.value_list!r}.", number)
        if count:
            yield Fault("values", "The values are those of the list: name none here.", number)
    elif entry.operator is _O.NESTED:
        return
    elif entry.operator is _O.EXISTS:
        if count:
            yield Fault("values", "Whether a field exists needs no value.", number)
    elif not count:
        yield Fault("values", "Give a value.", number)
    elif count > MOST_VALUES:
        says = (
            f"{count:,} values: at most {MOST_VALUES} fit into an entry. Make a value list and refer to it."
        )
        yield Fault("values", says, number)
    elif count > 1 and entry.operator in (_O.IS, _O.MATCHES):
        yield Fault(
            "values", f"{count} values, where one is meant. Use `is one of`, or an entry each.", number
        )


def _value_fault(entry: Entry, value: str) -> str:
    if len(value) > MOST_LENGTH:
        return f"A value of {len(value):,} characters: at most {MOST_LENGTH:,}."
    if entry.operator is _O.CIDR:
        return (
            network_fault(value.strip()) if is_address(entry.field) else f"{entry.field} holds no addresses."
        )
    if entry.operator is _O.MATCHES and (says := wildcard_fault(value)):
        return says
    if is_address(entry.field) and entry.operator in (_O.IS, _O.IS_ONE_OF):
        return address_fault(value.strip())
    return domain_fault(value) if is_domain(entry.field) else ""


def wildcard_fault(value: str) -> str:
    """What speaks for a regular expression where a wildcard is meant; "" if nothing does."""
    if found := _REGEX.search(value):
        return (
            f"{found.group()!r} is part of a regular expression. A wildcard knows `*` (any text) and `?` "
            "(one character), and everything else stands for itself."
        )
    return ""


def network_fault(value: str) -> str:
    """What is wrong with a network in CIDR notation, with the right one where that can be told."""
    try:
        ipaddress.ip_network(value)
    except ValueError:
        try:
            meant = ipaddress.ip_network(value, strict=False)
        except ValueError:
            return f"{value!r} is no network. Write 10.20.0.0/16."
        return f"{value} has bits set behind its prefix. Did you mean {meant}, or the address itself?"
    return ""


def address_fault(value: str) -> str:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return f"{value!r} is no address. For a network, use `is in network`."
    return ""


def domain_fault(value: str) -> str:
    """Look-alike letters and letters that telemetry writes in another way."""
    hidden = [char for char in value.strip() if unicodedata.category(char) in ("Cc", "Cf", "Zs", "Zl", "Zp")]
    if hidden:
        return f"It holds an invisible character, U+{ord(hidden[0]):04X}."
    if value.isascii():
        return ""
    if confusables.is_dangerous(value):
        # Digits have look-alikes as well, but they are what they seem to be.
        char = next(char for char in value if not char.isascii())
        named = f"{char} (U+{ord(char):04X}, {unicodedata.name(char, 'no name').lower()})"
        return f"{named} looks like another letter: the name is not the one that it seems to be."
    try:
        meant = value.strip().encode("idna").decode()
    except UnicodeError:
        return f"{value!r} can't be a domain name."
    return f"Telemetry writes this name as {meant}. Enter that."
