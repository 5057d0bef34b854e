"""Exports of Kibana's exception lists, made up: every kind of entry, old and new bookkeeping."""

import json
from random import Random
from typing import Any

FIELDS = ("process.name", "user.name", "host.name", "process.command_line", "file.path", "process.executable")
WORDS = ("a.exe", "svc-swdist", "C:\\Program Files\\Vendor\\b.exe", "ärger", 'x "y"', "日本", "l\u2028s", "0")
CASES = ("match", "match_any", "exists", "wildcard", "list", "nested", "network", "networks")


def exception_lines(items: int, *, list_id: str = "l1", seed: int = 1) -> list[str]:
    """A list, so many items, and the closing line."""
    random = Random(seed)
    made = [_item(random, number, list_id) for number in range(items)]
    closing = {
        "exported_exception_list_count": 1,
        "exported_exception_list_item_count": items,
        "missing_exception_list_item_count": 0,
        "missing_exception_list_items": [],
        "missing_exception_lists": [],
        "missing_exception_lists_count": 0,
    }
    return [json.dumps(one, ensure_ascii=False) for one in (_list(list_id), *made, closing)]


def _list(list_id: str) -> dict[str, Any]:
    return {
        "_version": "WzEsMV0=",
        "created_at": "2026-01-02T03:04:05.678Z",
        "created_by": "elastic",
        "description": "Exceptions of a rule",
        "id": "o-1",
        "immutable": False,
        "list_id": list_id,
        "name": "A list",
        "namespace_type": "single",
        "os_types": [],
        "tags": [],
        "tie_breaker_id": "t-1",
        "type": "rule_default",
        "updated_at": "2026-01-02T03:04:05.678Z",
        "updated_by": "elastic",
        "version": 1,
    }


def _item(random: Random, number: int, list_id: str) -> dict[str, Any]:
    # Each kind comes first in turn, so that none is left out by chance.
    kinds = [CASES[number % len(CASES)], *random.choices(CASES, k=random.randint(0, 4))]
    made: dict[str, Any] = {
        "_version": f"W{number}==",
        "comments": [{"comment": "as agreed", "created_by": "ana", "id": f"c-{number}"}]
        * random.randint(0, 2),
        "created_by": "elastic",
        "description": random.choice(["Exception list item", "CHG-7: rolled out"]),
        "entries": [entry(random, kind) for kind in kinds],
        "id": f"o-{number}",
        "item_id": f"i-{number}",
        "list_id": list_id,
        "name": f"Item {number}",
        "namespace_type": random.choice(["single", "agnostic"]),
        "os_types": random.choice([[], ["windows"], ["linux", "macos"]]),
        "tags": random.choice([[], ["policy:all"]]),
        "type": "simple",
    }
    if random.random() < 0.5:
        made["expire_time"] = random.choice(["2026-12-31T00:00:00.000Z", "2026-12-24T18:00:00Z"])
    if random.random() < 0.3:
        made["_tags"] = ["endpoint", "process", "os:windows"]
    return made


def entry(random: Random, kind: str) -> dict[str, Any]:
    """One entry of a kind."""
    operator, field = random.choice(["included", "excluded"]), random.choice(FIELDS)
    words = random.sample(WORDS, random.randint(1, 4))
    held: dict[str, Any] = {"field": field, "operator": operator}
    match kind:
        case "match":
            return {**held, "type": "match", "value": words[0]}
        case "match_any":
            return {**held, "type": "match_any", "value": words}
        case "exists":
            return {**held, "type": "exists"}
        case "wildcard":
            return {**held, "type": "wildcard", "value": f"*{words[0]}?"}
        case "list":
            return {**held, "type": "list", "list": {"id": "known names", "type": "keyword"}}
        case "network":
            return {**held, "field": "source.ip", "type": "match", "value": "10.20.0.0/16"}
        case "networks":
            return {**held, "field": "source.ip", "type": "match_any", "value": ["10.20.0.0/16", "10.9.9.9"]}
    inner = [entry(random, one) for one in random.choices(("match", "match_any", "exists"), k=2)]
    names = ("subject_name", "status")
    return {
        "field": "process.code_signature",
        "type": "nested",
        "entries": [{**one, "field": name} for one, name in zip(inner, names, strict=True)],
    }
