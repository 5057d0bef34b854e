"""What a hunt says about itself when it ends."""

from collections import defaultdict
from collections.abc import Iterator

from detections.hunt.captures import HuntSummary
from detections.hunt.lines import escaped, printable
from detections.hunt.rules import RuleSet


def summary_lines(summary: HuntSummary, rules: RuleSet) -> Iterator[str]:
    """Files, rules run, rules skipped and failed with their reasons, matches, bad records."""
    names = {rule.rule_id: rule.name for rule in rules.rules}
    skipped = len(rules.omitted) + sum(1 for rule_id in summary.inapplicable if rule_id not in summary.ran)
    failed = len(rules.failed) + len(summary.failed)
    yield (
        f"{_counted(summary.files, 'file')}, {_counted(summary.events, 'event')}; rules: "
        f"{len(summary.ran - set(summary.failed)):,} run, {skipped:,} skipped, {failed:,} failed; "
        f"{_counted(summary.matches, 'match', 'matches')} ({summary.repaired:,} clock-repaired); "
        f"{_counted(summary.bad, 'bad record')}."
    )
    if summary.known:
        yield f"{_counted(summary.known, 'event')} came in more than one file and counted once."
    if summary.unordered:
        yield (
            f"{_counted(summary.unordered, 'candidate')} left out: no value in the rule's timestamp field "
            f"({', '.join(sorted({escaped(rule.timestamp_field) for rule in rules.rules}))})."
        )
    yield from _omitted(rules)
    yield from _inapplicable(summary, names)
    for rule_id, reason in sorted(summary.failed.items()):
        yield f"Failed: {escaped(names.get(rule_id, ''))} ({escaped(rule_id)}): {printable(reason)}"
    yield from (f"Failed: {printable(reason)}" for reason in rules.failed)
    yield from (f"Bad record: {escaped(fault)}" for fault in summary.faults)
    if summary.bad > len(summary.faults):
        yield f"and {summary.bad - len(summary.faults):,} more bad records."
    for file, reason in summary.unreadable.items():
        yield f"Not read (to its end): {escaped(file)}: {escaped(reason)}"


def _omitted(rules: RuleSet) -> Iterator[str]:
    reasons: dict[str, list[str]] = defaultdict(list)
    for rule in rules.omitted:
        reasons[rule.reason].append(f"{rule.name} ({rule.rule_id})")
    yield from _skipped(reasons)


def _inapplicable(summary: HuntSummary, names: dict[str, str]) -> Iterator[str]:
    reasons: dict[str, list[str]] = defaultdict(list)
    for rule_id, fields in summary.inapplicable.items():
        for name, count in fields.items():
            where = "" if count == summary.universes else f" (in {count} of {summary.universes} files)"
            reasons[f"not applicable here: field {name}{where}"].append(f"{names[rule_id]} ({rule_id})")
    yield from _skipped(reasons)


def _skipped(reasons: dict[str, list[str]]) -> Iterator[str]:
    for reason, rules in sorted(reasons.items()):
        yield f"Skipped, {reason}: {len(rules):,}"
        yield from (f"  {escaped(rule)}" for rule in sorted(rules))


def _counted(count: int, one: str, many: str = "") -> str:
    return f"{count:,} {one if count == 1 else many or one + 's'}"
