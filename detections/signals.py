"""What detection tells those above it. All are sent inside the transaction of the change."""

from django.dispatch import Signal

rule_version_stored = Signal()
"""A rule got a version. sender RuleVersion; `rule_version`: the new row; `actor`: who loaded it."""

overlay_offered = Signal()
"""A file brought a guide overlay for an installed rule. sender Rule; `rule`, `text`, `source`: the file's
name, `actor`. Receivers return what becomes of it in a sentence, or "". Never in force by this alone."""

alerts_upgraded = Signal()
"""Clock-repaired alerts were found in strict order too. sender Alert; `alerts`: the rows, now strict."""

alerts_superseded = Signal()
"""Late telemetry supersedes matches. sender Alert; `alerts`: the rows; they stay, marked."""
