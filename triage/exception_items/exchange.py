"""Exceptions from and to Kibana, in the NDJSON of its exception lists (8.x and 9.x).

Kibana leaves single events out before a rule matches; here alerts are hidden afterwards. What an import means
differently is said with each draft; what Kibana can't say is refused by the export, with the reason.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from detections.actors import Actor
from detections.eql.ast import SequenceQuery
from detections.eql.parser import parse
from detections.errors import CasewrightError
from detections.event_store import event_store
from detections.ingest.moments import TimeError, moment
from detections.models import Rule
from triage.enums import ExceptionOperator, ExceptionOrigin, ExceptionState, ValueListType
from triage.errors import ContentFaultsError, TriageError
from triage.exception_items import states as exception_states
from triage.exception_items.content import LONGEST, Content, Entry, content_of, entry_data
from triage.exception_items.forms import read_content
from triage.exception_items.kibana_entries import OS_FIELD, read_entries, written_entries
from triage.exception_items.way import PROPOSE
from triage.models import ExceptionItem, ExceptionVersion, ValueList
from triage.models.approved_version import ON_ITS_WAY

# Kinds of lists that belong to rules; the others are for Elastic's agents.
RULE_LISTS = ("detection", "rule_default")
LIST_TYPES = {
    ValueListType.IP: "ip",
    ValueListType.CIDR: "ip_range",
    ValueListType.DOMAIN: "keyword",
    ValueListType.HASH: "keyword",
    ValueListType.KEYWORD: "keyword",
}
BEFORE_MATCHING = (
    "Kibana leaves single events out before the rule matches. Here the rule matches first, and an alert is "
    "hidden if one of its events satisfies all entries."
)
PAIRING = (
    "The rule is a sequence. In Kibana it goes on without the event and may pair the others with another "
    "one; here such a match is an alert of its own, judged by itself."
)
MISSING = (
    "The rule has a stage that must be missing. In Kibana an event that is left out can't stand there, which "
    "makes alerts; here an exception never makes one."
)
UNTIL = (
    "The rule ends by `until`. In Kibana an event that is left out can't end a sequence, which makes alerts; "
    "here it does end it."
)
NEGATED = (
    "An entry is negated. In Kibana it also holds of an event that lacks the field; here the field must be "
    "there."
)


@dataclass(frozen=True, slots=True)
class Drafted:
    """An item that arrived as a draft. notes: what it means differently here, and what it lacks."""

    version: ExceptionVersion
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Refused:
    """An item that was not taken over, or not written. reason: for people."""

    name: str
    reason: str


@dataclass(slots=True)
class ImportedItems:
    """known: names of items that are here already."""

    drafted: list[Drafted] = field(default_factory=list)
    known: list[str] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)


@dataclass(slots=True)
class ExportedItems:
    """lines: of the file, its closing line included. items: how many. refused: what is not for Kibana."""

    lines: list[str] = field(default_factory=list)
    items: int = 0
    refused: list[Refused] = field(default_factory=list)


# -- import


def import_items(lines: Iterable[str], *, actor: Actor, rule: Rule | None = None) -> ImportedItems:
    """Draft every item of an export; each needs a back-test and an approval before it hides anything.

    rule: whose they are; None: of the rules that name the list, in the file or installed. An item that was
    imported before is left as it is, so that the same file again adds nothing. Raises NotPermittedError.
    """
    actor.require(PROPOSE, "import exceptions")
    done = ImportedItems()
    reading = _Reading(rule)
    for number, line in enumerate(lines, start=1):
        if line.strip():
            reading.add(line, number, done)
    for values in reading.items:
        name = str(values.get("name") or values.get("item_id") or "without a name")
        try:
            for each in reading.rules_of(values):
                _draft(values, each, reading, done, actor)
        except ContentFaultsError as error:
            done.refused.append(Refused(name, " ".join(str(fault) for fault in error.faults)))
        except CasewrightError as error:
            done.refused.append(Refused(name, str(error)))
    return done


class _Reading:
    """An export as it is read: its lists, items, and which rules name which list."""

    def __init__(self, rule: Rule | None) -> None:
        self.lists: dict[str, dict[str, Any]] = {}
        self.items: list[dict[str, Any]] = []
        self.known = event_store().known_fields()
        self._rule = rule
        self._named: dict[str, list[str]] = {}

    def add(self, line: str, number: int, done: ImportedItems) -> None:
        try:
            values = json.loads(line)
        except ValueError as error:
            done.refused.append(Refused(f"line {number}", f"It is no JSON: {error}."))
            return
        if not isinstance(values, dict):
            done.refused.append(Refused(f"line {number}", "It is no object."))
        elif "item_id" in values or "entries" in values:
            self.items.append(values)
        elif "rule_id" in values:
            for one in _lists_of(values):
                self._named.setdefault(one, []).append(str(values["rule_id"]))
        elif "list_id" in values:
            self.lists[str(values["list_id"])] = values

    def rules_of(self, item: Mapping[str, Any]) -> list[Rule]:
        """The rules that an item is for. Raises TriageError if there is none here."""
        list_id = str(item.get("list_id", ""))
        sort = self.lists.get(list_id, {}).get("type", RULE_LISTS[0])
        if sort not in RULE_LISTS:
            raise TriageError(f"Its list is of the kind {sort}: for agents of Elastic, not for a rule.")
        if self._rule is not None:
            return [self._rule]
        found = list(Rule.objects.filter(rule_id__in=self._named.get(list_id, ())).order_by("rule_id"))
        found = found or self._installed(list_id)
        if not found:
            raise TriageError(
                f"No rule that is installed here names its list {list_id!r}. Import the rule, or name it."
            )
        return found

    def _installed(self, list_id: str) -> list[Rule]:
        if not list_id:
            return []
        rows = Rule.objects.filter(current__source__contains=list_id).select_related("current")
        return [one for one in rows.order_by("rule_id") if list_id in _lists_in(one)]


def _lists_in(rule: Rule) -> list[str]:
    """The lists that a rule's source names, if it is one of Kibana's."""
    try:
        return _lists_of(json.loads(rule.current.source)) if rule.current else []
    except ValueError:
        return []


def _lists_of(values: Any) -> list[str]:
    held = values.get("exceptions_list") if isinstance(values, dict) else None
    return [str(one.get("list_id")) for one in held or () if isinstance(one, dict)]


def _draft(values: dict[str, Any], rule: Rule, reading: _Reading, done: ImportedItems, actor: Actor) -> None:
    name = str(values.get("name") or values.get("item_id") or "")
    known = _known(rule, str(values.get("item_id", "")))
    if known is not None:
        done.known.append(f"{name}: {known.number}")
        return
    entries = read_entries(values.get("entries"), _texts(values, "os_types"))
    expires_at, end_notes = _end(values)
    content = read_content(
        {
            "rule": rule.rule_id,
            "name": name,
            "entries": [entry_data(entry) for entry in entries],
            "reason": str(values.get("description") or ""),
            "expires_at": expires_at,
        },
        known=reading.known,
        is_draft=True,
    )
    notes = (*differences(rule, entries), *end_notes)
    source = {"item": values, "list": reading.lists.get(str(values.get("list_id"))), "notes": list(notes)}
    made = exception_states.draft(content, actor=actor, origin=ExceptionOrigin.KIBANA, source=source)
    done.drafted.append(Drafted(made, notes))


def _known(rule: Rule, item_id: str) -> ExceptionItem | None:
    if not item_id:
        return None
    items = ExceptionItem.objects.filter(rule=rule, origin=ExceptionOrigin.KIBANA)
    return items.filter(source__item__item_id=item_id).first()


def _texts(values: Mapping[str, Any], key: str) -> list[str]:
    found = values.get(key)
    return [str(one) for one in found] if isinstance(found, list) else []


def _end(values: Mapping[str, Any]) -> tuple[datetime | None, tuple[str, ...]]:
    text, now = str(values.get("expire_time") or ""), timezone.now()
    if not text:
        return None, ("It has no end. Set one: nothing is hidden for ever.",)
    try:
        ends = moment(text)
    except TimeError as error:
        raise TriageError(f"Its expire_time can't be read: {error}.") from None
    if ends <= now:
        raise TriageError(f"It ended on {ends:%Y-%m-%d %H:%M} UTC: there is nothing to hide any more.")
    if ends > now + LONGEST - timedelta(minutes=1):
        return None, (f"It ends on {ends:%Y-%m-%d}, later than in a year. Set an end within a year.",)
    return ends, ()


def differences(rule: Rule, entries: Sequence[Entry]) -> list[str]:
    """What an item of Kibana means differently here, a sentence each."""
    found = [BEFORE_MATCHING]
    try:
        query = parse(rule.current.query) if rule.current else None
    except CasewrightError:
        query = None
    if isinstance(query, SequenceQuery):
        found.append(PAIRING)
        found += [MISSING] if any(stage.missing for stage in query.stages) else []
        found += [UNTIL] if query.until is not None else []
    if any(one.negated and one.operator is not ExceptionOperator.EXISTS for one in entries):
        found.append(NEGATED)
    return found


# -- export


def export_items(items: Iterable[ExceptionItem], *, actor: Actor) -> ExportedItems:
    """Items as Kibana writes them, each in the version that is active.

    What came from Kibana keeps all that it brought along, and goes back as it came while it is a draft here.
    Raises NotPermittedError.
    """
    actor.require("triage.view_exceptionitem", "export exceptions")
    done, lists = ExportedItems(), dict[str, dict[str, Any]]()
    rows: list[dict[str, Any]] = []
    types = {row.name: LIST_TYPES[ValueListType(row.type)] for row in ValueList.objects.all()}
    for version in _chosen(items):
        item = version.item
        try:
            _check_standing(item, version)
            rows.append(_written(item, version, types))
        except (TriageError, ValueError) as error:
            done.refused.append(Refused(f"{item.number} {item.name}", str(error)))
            continue
        made = item.source.get("list") or _list(item)
        lists.setdefault(str(made["list_id"]), made)
    done.items = len(rows)
    done.lines = [_line(one) for one in (*lists.values(), *rows)]
    done.lines.append(_line(_closing(len(lists), len(rows))))
    return done


def _chosen(items: Iterable[ExceptionItem]) -> list[ExceptionVersion]:
    """Of each item, in their order, the active version, else the newest."""
    pks = [item.pk for item in items]
    versions = ExceptionVersion.objects.filter(item__in=pks).select_related(
        "item__rule", "rule_version__rule", "last_edited_by"
    )
    found: dict[int, ExceptionVersion] = {}
    for version in versions.order_by("number"):
        before = found.get(version.item_id)
        if before is None or before.state != ExceptionState.ACTIVE:
            found[version.item_id] = version
    return [found[pk] for pk in pks if pk in found]


def _check_standing(item: ExceptionItem, version: ExceptionVersion) -> None:
    """Kibana knows no drafts: what is written there hides at once. Raises TriageError for what must not.

    An item of Kibana's that says what it said there goes back as it came, since it hides there already.
    """
    if version.state == ExceptionState.ACTIVE:
        return
    if version.state not in ON_ITS_WAY:
        raise TriageError(f"It is {version.state}, and Kibana would hide by it again.")
    brought = item.source.get("item") or {}
    if not brought:
        raise TriageError(f"It is not in force here ({version.state}), and Kibana would hide by it at once.")
    if read_entries(brought.get("entries"), _texts(brought, "os_types")) != content_of(version).entries:
        raise TriageError("What was changed here is not in force yet: until then Kibana keeps what it has.")


def _written(item: ExceptionItem, version: ExceptionVersion, types: Mapping[str, str]) -> dict[str, Any]:
    content, brought = content_of(version), dict(item.source.get("item") or {})
    os_types = _texts(brought, "os_types")
    entries = content.entries
    if os_types and entries and entries[0] == _os_entry(os_types):
        entries = entries[1:]
    elif os_types:
        brought["os_types"] = []
    own = {
        "name": content.name,
        "description": content.reason or str(brought.get("description", "")),
        "entries": _entries(brought, entries, types),
    }
    return {**(brought or _new(item, version)), **own, **_expiry(brought, content)}


def _os_entry(os_types: Sequence[str]) -> Entry:
    return read_entries([{"field": OS_FIELD, "type": "match_any", "value": list(os_types)}])[0]


def _entries(
    brought: Mapping[str, Any], entries: Sequence[Entry], types: Mapping[str, str]
) -> list[dict[str, Any]]:
    """As they came, if they say the same: one thing can be written in two ways."""
    came = brought.get("entries")
    if isinstance(came, list) and read_entries(came) == tuple(entries):
        return came
    held = {str(one["list"]["id"]): str(one["list"].get("type")) for one in came or () if "list" in one}
    return written_entries(entries, {**types, **held})


def _expiry(brought: Mapping[str, Any], content: Content) -> dict[str, Any]:
    ends = content.expires_at
    if ends is None or ("expire_time" in brought and _is_same(brought["expire_time"], ends)):
        return {}
    return {"expire_time": ends.strftime("%Y-%m-%dT%H:%M:%S.") + f"{ends.microsecond // 1000:03d}Z"}


def _is_same(text: Any, ends: datetime) -> bool:
    try:
        return moment(str(text)) == ends
    except TimeError:
        return False


def _new(item: ExceptionItem, version: ExceptionVersion) -> dict[str, Any]:
    """What Kibana asks of an item that was made here."""
    return {
        "item_id": f"casewright-{item.number}",
        "list_id": _list(item)["list_id"],
        "namespace_type": "single",
        "os_types": [],
        "tags": [],
        "comments": [],
        "type": "simple",
        "created_at": item.created_at.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "created_by": version.last_edited_by.get_username(),
    }


def _list(item: ExceptionItem) -> dict[str, Any]:
    return {
        "list_id": f"casewright-{item.rule.rule_id}",
        "name": f"Casewright: {item.rule.name}",
        "description": f"Exceptions of the rule {item.rule.name}, approved in Casewright.",
        "namespace_type": "single",
        "os_types": [],
        "tags": [],
        "type": "detection",
    }


def _closing(lists: int, items: int) -> dict[str, Any]:
    return {
        "exported_exception_list_count": lists,
        "exported_exception_list_item_count": items,
        "missing_exception_list_item_count": 0,
        "missing_exception_list_items": [],
        "missing_exception_lists": [],
        "missing_exception_lists_count": 0,
    }


def _line(values: Any) -> str:
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"))
