"""Write detections/eql/ecs_fields.tsv from the npm package @elastic/ecs.

npm pack @elastic/ecs && tar -xzf elastic-ecs-*.tgz
python requirements/ecs_fields.py package > detections/eql/ecs_fields.tsv
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

TYPES = {
    "keyword": "keyword",
    "wildcard": "keyword",
    "constant_keyword": "keyword",
    "flattened": "keyword",
    "match_only_text": "keyword",
    "long": "long",
    "integer": "long",
    "short": "long",
    "byte": "long",
    "unsigned_long": "long",
    "float": "double",
    "half_float": "double",
    "double": "double",
    "scaled_float": "double",
    "boolean": "boolean",
    "date": "date",
    "ip": "ip",
    "version": "version",
}


def fields(text: str) -> Iterator[str]:
    """A line for each leaf field; objects, nested objects and places have no value that EQL compares."""
    for block in re.split(
        r"^  (?=['\w@].*: \{$)", text[text.index("export const EcsFlat") :], flags=re.MULTILINE
    )[1:]:
        name = re.search(r"^    flat_name: '([^']+)'", block, re.MULTILINE)
        type_ = re.search(r"^    type: '([^']+)'", block, re.MULTILINE)
        if name and type_ and type_[1] in TYPES:
            is_list = re.search(r"^    normalize: \[.*'array'", block, re.MULTILINE)
            yield "\t".join([name[1], TYPES[type_[1]], *(["list"] if is_list else [])])


def main(package: Path) -> None:
    version = json.loads((package / "package.json").read_text())["version"]
    lines = fields((package / "generated" / "ecs_flat.ts").read_text())
    head = (
        f"# Elastic Common Schema {version}: names, types and arrays, from the npm package @elastic/ecs.\n"
        "# Copyright Elasticsearch B.V., Apache License 2.0. Made by requirements/ecs_fields.py.\n"
    )
    sys.stdout.write(head + "\n".join(sorted(lines)) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
