"""Import of published rules: read what somebody exported, show what it would change, then change it."""

from detections.rule_import.applying import Imported, StalePreviewError, apply
from detections.rule_import.comparison import Change, DiffLine
from detections.rule_import.preview import Entry, Preview, Verdict, between, preview
from detections.rule_import.reading import Material, read

__all__ = [
    "Change",
    "DiffLine",
    "Entry",
    "Imported",
    "Material",
    "Preview",
    "StalePreviewError",
    "Verdict",
    "apply",
    "between",
    "preview",
    "read",
]
