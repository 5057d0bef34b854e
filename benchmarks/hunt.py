"""Hunts: from start to the first match, and side by side with PyPI's `eql` where that can parse.

Run: python -m benchmarks.hunt CAPTURE --rules PATH [--events N]. Figures: docs/performance.md.
"""

import argparse
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import eql

from benchmarks.telemetry import Telemetry
from detections.hunt.rules import HuntRule, RuleSet, rule_set
from detections.hunt.universe import Universe
from detections.rule_files import load_rules

REPEAT = 5


def first_match(capture: Path, rules: Path) -> tuple[float, float, float]:
    """The best of some starts: seconds to the first line, to the end, and of CPU."""
    command = [sys.executable, "manage.py", "hunt", str(capture), "--rules", str(rules), "--format", "tsv"]
    best = (float("inf"),) * 3
    for _ in range(REPEAT):
        spent, started = _children(), time.perf_counter()
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as hunt:
            assert hunt.stdout is not None
            if not hunt.stdout.readline():
                raise SystemExit(f"No rule of {rules} matches in {capture}: choose another.")
            first = time.perf_counter() - started
            hunt.stdout.read()
            hunt.wait()
        best = min(best, (first, time.perf_counter() - started, _children() - spent))
    return best


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def readable(rules: Sequence[HuntRule]) -> list[tuple[HuntRule, Any]]:
    """The rules that the other engine can parse, with what it makes of them."""
    found = []
    for rule in rules:
        try:
            with eql.parser.elasticsearch_syntax, eql.parser.elastic_endpoint_syntax:
                found.append((rule, eql.parse_query(rule.query.text, implied_any=True)))
        except eql.EqlError:
            continue
    return found


def theirs(parsed: Sequence[Any], events: Sequence[dict[str, Any]]) -> int:
    """Matches of PyPI's `eql`. It knows one category an event; queries that it can't run are left out."""
    engine, found = eql.PythonEngine(), 0

    def count(_: Any) -> None:
        nonlocal found
        found += 1

    engine.add_output_hook(count)
    for number, query in enumerate(parsed):
        engine.add_analytic(
            eql.ast.EqlAnalytic(query=query, metadata={"id": str(number), "name": str(number)})
        )
    engine.stream_events(
        eql.Event(one["event"]["category"], number, one) for number, one in enumerate(events)
    )
    return found


def ours(rules: Sequence[HuntRule], events: Sequence[dict[str, Any]]) -> int:
    universe = Universe(RuleSet(rules).planned())
    for number, event in enumerate(events):
        universe.feed(event, file="events", record_id=str(number))
    return len(universe.found())


def without_lists(value: Any) -> Any:
    """Of every list its first value: the other engine breaks off at lists."""
    if isinstance(value, dict):
        return {key: without_lists(item) for key, item in value.items()}
    return value[0] if isinstance(value, list) else value


def timed(work: Callable[[], int]) -> str:
    started = time.process_time()
    found = work()
    return f"{time.process_time() - started:.2f} s of CPU ({found:,} matches)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("capture", type=Path, help="a capture in which a rule matches")
    parser.add_argument("--rules", type=Path, default=Path("../shared/rules/elastic-rules.tar.gz"))
    parser.add_argument("--events", type=int, default=20_000)
    options = parser.parse_args()
    first, whole, cpu = first_match(options.capture, options.rules)
    size = options.capture.stat().st_size / 1e6
    print(f"hunt over {size:.1f} MB: first match {first:.2f} s, end {whole:.2f} s, {cpu:.2f} s of CPU")
    rules = rule_set(load_rules([options.rules])).rules
    both = readable(rules)
    events = [without_lists(one) for one in Telemetry().documents(options.events)]
    print(
        f"{len(both)} of {len(rules)} rules that PyPI's eql {eql.__version__} parses, {len(events):,} events:"
    )
    print("  here:", timed(lambda: ours([rule for rule, _ in both], events)))
    print("  PyPI's eql:", timed(lambda: theirs([query for _, query in both], events)))


if __name__ == "__main__":
    main()
