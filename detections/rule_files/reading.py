"""The text of one rule -> RuleFile, with every fault of the file at once."""

import hashlib
import json
import tomllib
from datetime import timedelta
from functools import lru_cache
from typing import Any

from detections.enums import RuleType, Severity
from detections.eql.ast import Query
from detections.eql.parser import parse
from detections.errors import EqlError, Location, RuleFault, RuleFileError
from detections.rule_files import long_texts
from detections.rule_files.model import RuleFile
from detections.rule_files.positions import LinePositions, Positions, TomlPositions
from detections.rule_files.table import Table, date_math

# Kibana's defaults for a rule that does not say.
DEFAULT_INTERVAL = "5m"
DEFAULT_FROM = "now-6m"
DEFAULT_MAX_SIGNALS = 100
RULE_ID_LENGTH = 64
NAME_LENGTH = 255
MAX_SIGNALS = 10_000
TRANSFORMS = ("investigate", "osquery")
# A job of machine learning, or a query that stands elsewhere under its `saved_id`.
WITHOUT_QUERY = (RuleType.MACHINE_LEARNING, RuleType.SAVED_QUERY)


@lru_cache(maxsize=4096)
def parsed_query(text: str) -> Query:
    """The syntax tree of a query, parsed once for whoever loads and whoever runs a rule. Raises EqlError."""
    return parse(text)


def load_rule_text(text: str, path: str, *, overlay: str = "", overlay_path: str = "") -> RuleFile:
    """One rule from the text of its file: JSON where it begins with `{`, TOML otherwise.

    overlay: the text of the guide overlay beside the rule. Raises RuleFileError with all faults of both.
    """
    if text.lstrip().startswith("{"):
        return load_json_rule(text.strip(), path, 1)
    values = toml_values(text, path)
    root = Table(values, TomlPositions(text, path))
    rule = root.table("rule")
    _refuse_strangers(root, rule)
    return _rule_file(rule, _transforms(root, text), text, path, overlay=overlay, overlay_path=overlay_path)


def _refuse_strangers(root: Table, rule: Table) -> None:
    """Raise RuleFileError for a file that is something else than a detection rule."""
    if "rule" not in root.values:
        is_hunt = "hunt" in root.values
        sort = "a hunting query, no rule: the table is missing." if is_hunt else "the table is missing."
        root.fault("rule", sort, "A rule file has [metadata], [rule] and [[rule.threat]].")
    elif "os_list" in rule.values and "rule_id" not in rule.values:
        rule.fault(
            "os_list",
            "a behaviour rule of Elastic Endpoint, which runs it by itself, in a dialect of its own.",
            "To search with its query, give it type, language, rule_id, severity and risk_score.",
        )
        _check_eql(rule, rule.text("query"))
    if root.faults:
        raise RuleFileError(in_order(root.faults))


def load_json_rule(text: str, path: str, line: int) -> RuleFile:
    """One rule from its line in an export of Kibana. Raises RuleFileError."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        column = getattr(error, "colno", None)
        fault = RuleFault(Location(path, line, column), f"not JSON: {error}.", "Export the rule again.")
        raise RuleFileError([fault]) from error
    if not isinstance(values, dict):
        raise RuleFileError([RuleFault(Location(path, line), "not a rule.", "Write one JSON object a line.")])
    return _rule_file(Table(values, LinePositions(path, line)), (), text, path)


def in_order(faults: list[RuleFault]) -> list[RuleFault]:
    """Faults by their place, each once."""
    return sorted(
        dict.fromkeys(faults),
        key=lambda fault: (fault.location.path, fault.location.line or 0, fault.location.column or 0),
    )


def toml_values(text: str, path: str) -> dict[str, Any]:
    """The values of a TOML text. Raises RuleFileError with the line and column of the fault."""
    try:
        return long_texts.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        message, _, place = str(error).partition(" (at ")
        digits = [int(part) for part in place.rstrip(")").replace(",", "").split() if part.isdigit()]
        line, column = digits if len(digits) == 2 else (len(text.splitlines()) or 1, None)
        location = Location(path, line, column)
        fault = RuleFault(location, f"not TOML: {message}.", "Correct the syntax at this place.")
        raise RuleFileError([fault]) from error


def _rule_file(
    table: Table,
    transforms: tuple[dict[str, Any], ...],
    text: str,
    path: str,
    *,
    overlay: str = "",
    overlay_path: str = "",
) -> RuleFile:
    kind = table.choice("type", RuleType)
    interval, lookback = _schedule(table)
    rule = RuleFile(
        rule_id=_short(table, "rule_id", RULE_ID_LENGTH),
        name=_short(table, "name", NAME_LENGTH),
        description=table.text("description", required=True).strip(),
        type=kind,
        language=table.text("language", "eql" if kind is RuleType.EQL else ""),
        query=_query(table, kind),
        index=table.texts("index"),
        severity=table.choice("severity", Severity),
        risk_score=table.number("risk_score", None, 0, 100),
        interval=interval,
        lookback=lookback,
        max_signals=table.number("max_signals", DEFAULT_MAX_SIGNALS, 1, MAX_SIGNALS),
        version=table.number("version", 1, 1, 2**31 - 1),
        tags=table.texts("tags"),
        references=table.texts("references"),
        author=table.texts("author"),
        license=table.text("license"),
        setup=table.text("setup").strip(),
        note=table.text("note").strip(),
        false_positives=table.texts("false_positives"),
        threat=tuple(dict(entry.values) for entry in table.tables("threat")),
        timestamp_override=table.text("timestamp_override"),
        tiebreaker_field=table.text("tiebreaker_field"),
        timestamp_field=table.text("timestamp_field", "@timestamp") or "@timestamp",
        event_category_override=table.text("event_category_override"),
        building_block="building_block_type" in table.values,
        transforms=transforms,
        path=path,
        source=text,
        overlay=overlay,
        replaces=_replaces(overlay, overlay_path, table.faults),
        sha256=hashlib.sha256(f"{text}\0{overlay}".encode()).hexdigest(),
    )
    table.refuse_unstorable(text)
    if table.faults:
        raise RuleFileError(in_order(table.faults))
    return rule


def _short(table: Table, key: str, length: int) -> str:
    text = table.text(key, required=True)
    if len(text) > length:
        table.fault(key, f"has {len(text)} characters.", f"Shorten it to {length}.")
    return text


def _schedule(table: Table) -> tuple[timedelta, timedelta]:
    interval = table.span("interval", DEFAULT_INTERVAL)
    start = table.text("from", DEFAULT_FROM)
    found = date_math(start)
    if found is None or found[0] >= timedelta():
        table.fault("from", f"{start!r} is no time before now.", 'Write how far to read back: "now-9m".')
        return interval, interval
    end = table.text("to", "now")
    if end != "now":
        table.fault("to", f"{end!r} is not supported.", "A run reads up to now: leave `to` out.")
    return interval, -found[0]


def _query(table: Table, kind: RuleType) -> str:
    query = table.text("query", required=kind not in WITHOUT_QUERY)
    if kind is not RuleType.EQL:
        return query
    language = table.text("language", "eql")
    if language != "eql" and table.values.get("type") == kind.value:
        table.fault("language", f"{language!r} does not fit type eql.", 'Write language = "eql".')
    if table.values.get("filters"):
        table.fault("filters", "are not supported: the rule would match too much.", "Put them in the query.")
    if query.strip():
        _check_eql(table, query)
    return query


def _check_eql(table: Table, query: str) -> None:
    try:
        parsed_query(query)
    except EqlError as error:
        place = table.positions.inside(*table.keys, "query", line=error.line, column=error.column)
        table.faults.append(
            RuleFault(place, f"query: {error}\n", "" if error.hint else "Correct the query here.")
        )


def _transforms(root: Table, text: str) -> tuple[dict[str, Any], ...]:
    table = root.table("transform")
    table.refuse_unstorable(text)
    return tuple({"provider": sort, **entry.values} for sort in TRANSFORMS for entry in table.tables(sort))


def _replaces(overlay: str, path: str, faults: list[RuleFault]) -> tuple[str, ...]:
    """The overlay's `applies_to`. What else the overlay says is for the reader of guides to judge."""
    if not overlay:
        return ()
    try:
        values = toml_values(overlay, path)
    except RuleFileError as error:
        faults.extend(error.faults)
        return ()
    positions: Positions = TomlPositions(overlay, path)
    table = Table(values, positions, (), faults)
    table.refuse_unstorable(overlay)
    return table.texts("applies_to")
