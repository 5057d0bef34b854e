"""How long parsing, verifying and compiling a rule set takes.

    python benchmarks/eql_parse.py elastic-rules.tar.gz

Reads the TOML rules of an archive in detection-rules format.
"""

import sys
import tarfile
import time
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from detections.eql import Query, parse
from detections.eql.ast import all_stages
from detections.eql.evaluate import compile_condition
from detections.eql.known import catalogue
from detections.eql.sql import Column, compile_sql
from detections.eql.verify import verify


def queries(path: Path) -> Iterable[str]:
    with tarfile.open(path) as archive:
        for member in archive:
            file = archive.extractfile(member) if member.name.endswith(".toml") else None
            rule = tomllib.loads(file.read().decode())["rule"] if file else {}
            if rule.get("language") == "eql":
                yield rule["query"]


def timed(name: str, work: Callable[[Any], Any], inputs: list[Any]) -> list[Any]:
    started = time.perf_counter()
    found = [work(entry) for entry in inputs]
    print(f"{name:<10} {len(inputs)} queries, {1000 * (time.perf_counter() - started):.0f} ms")
    return found


def main(path: Path) -> None:
    known = catalogue()
    columns = {name: Column(f'"{name}"', field.type, field.is_list) for name, field in known.items()}
    parsed = timed("parse", parse, list(queries(path)))
    checked: list[Query] = timed("verify", lambda query: verify(query, known), parsed)
    conditions = [stage.condition for query in checked for stage in all_stages(query)]
    timed("SQL", lambda condition: compile_sql(condition, columns), conditions)
    timed("Python", lambda condition: compile_condition(condition, known), conditions)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
