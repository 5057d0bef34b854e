"""What the shipped scenarios would bring a day later: their last day's events, moved, of new processes."""

import json
import re
from datetime import datetime, timedelta
from pathlib import Path

import detections

SCENARIOS = Path(detections.__file__).parent / "scenarios"
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?\d*Z")


def next_day(name: str, *, first: datetime, mark: str) -> list[str]:
    """The lines of a scenario's last day, so that its first event happens at `first`. mark: makes the
    processes of mshta others than those that were seen."""
    events = [json.loads(line) for line in (SCENARIOS / f"{name}.ndjson").read_text().splitlines()]
    last = max(event["@timestamp"][:10] for event in events)
    kept = [event for event in events if event["@timestamp"].startswith(last)]
    shift = first - min(_read(event["@timestamp"]) for event in kept)
    known = {event["process"]["entity_id"] for event in kept if _is_mshta(event)}
    return [_moved(json.dumps(event), shift, known, mark) for event in kept]


def _is_mshta(event: dict[str, dict[str, str]]) -> bool:
    process = event.get("process", {})
    return process.get("name", "").lower() == "mshta.exe" and bool(process.get("entity_id"))


def _moved(line: str, shift: timedelta, known: set[str], mark: str) -> str:
    for entity in known:
        line = line.replace(json.dumps(entity), json.dumps(entity + mark))
    return _MOMENT.sub(lambda found: f"{_read(found[0]) + shift:%Y-%m-%dT%H:%M:%S.%fZ}", line)


def _read(text: str) -> datetime:
    return datetime.fromisoformat(re.sub(r"(\.\d{1,6})\d*Z$", r"\1+00:00", text).replace("Z", "+00:00"))
