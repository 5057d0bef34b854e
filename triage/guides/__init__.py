"""Investigation guides: a rule's note, its pivots and an overlay into questions that can be worked.

`parse_guide` reads one; `guide_for` does the same for what a pinned version stores, once per text.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from detections.rule_files.loading import overlay_path
from triage.guides.markdown import render
from triage.guides.model import Guide
from triage.guides.note import read_note
from triage.guides.overlay import with_overlay
from triage.guides.placeholders import Blocked, fill

__all__ = ["Blocked", "Guide", "fill", "guide_for", "parse_guide", "render"]


def parse_guide(
    note: str,
    transforms: Sequence[Mapping[str, Any]] = (),
    overlay_text: str = "",
    *,
    path: str = "guide.toml",
) -> Guide:
    """The guide of a rule.

    note: the rule's Markdown. transforms: its raw pivot entries (`RuleFile.transforms`). overlay_text: the
    overlay beside it, or "". path: of the rule, for faults. What is wrong in the note is in `Guide.faults`;
    a broken overlay raises RuleFileError with all its faults, since half an overlay is a weaker gate.
    """
    guide = read_note(note, transforms, path)
    if overlay_text.strip():
        guide = with_overlay(guide, overlay_text, overlay_path(path))
    return replace(guide, sha256=_digest(note, transforms, overlay_text))


def guide_for(note: str, transforms: Sequence[Mapping[str, Any]], overlay: str) -> Guide:
    """The guide of a stored rule version. Kept in memory by content: a version never changes."""
    return _parsed(note, json.dumps(list(transforms), sort_keys=True), overlay)


@lru_cache(maxsize=256)
def _parsed(note: str, transforms: str, overlay: str) -> Guide:
    return parse_guide(note, json.loads(transforms), overlay)


def _digest(note: str, transforms: Sequence[Mapping[str, Any]], overlay: str) -> str:
    canonical = json.dumps([note, list(transforms), overlay], sort_keys=True, default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()
