"""Overlays: what they add, and what a wrong one is told."""

import pytest

from detections.enums import TelemetryKind
from detections.errors import RuleFileError
from detections.stores.base import Clause, Filters, Operator
from tests.triage.guides.test_note import ENTRY, NOTE
from triage.guides import parse_guide
from triage.guides.model import Points, Rare

GOOD = """format = 1
version = 3
applies_to = ["r-2"]
[[question]]
number = 1
key = "real"
short_title = "Real?"
[question.requires]
telemetry = ["file", "process"]
confirmation = true
[[pivot]]
investigate = 0
key = "files"
columns = ["file.path"]
[[pivot]]
key = "runs"
question = "real"
label = "Later runs"
after = "files"
filters = [[{ field = "event.category", is = "process" },
            { field = "process.executable", is = "{{pivots.files.file.path}}" }]]
relative_to = "now+24h"
[[check]]
key = "temp"
question = "real"
pivot = "files"
points = "escalate"
when = 'file where file.path : "*Temp*"'
says = "A temporary file."
"""


def faults(overlay):
    with pytest.raises(RuleFileError) as caught:
        parse_guide(NOTE, [ENTRY], overlay, path="x.toml")
    return [str(fault) for fault in caught.value.faults]


def needs_of(when, needs=""):
    overlay = GOOD.replace("""when = 'file where file.path : "*Temp*"'""", f"when = '{when}'{needs}")
    return [kind.value for kind in parse_guide(NOTE, [ENTRY], overlay, path="x.toml").checks[0].needs]


def test_what_a_check_needs_is_told_from_its_category_and_fields():
    assert needs_of("file where true") == ["file"]
    assert needs_of("network where destination.ip != null") == ["connection"]
    assert needs_of("network where dns.resolved_ip != null") == ["dns"]
    assert needs_of("network where dns.resolved_ip != null or destination.ip != null") == [
        "connection",
        "dns",
    ]
    assert needs_of("network where process.name != null") == ["connection", "dns"]
    assert needs_of("any where dll.path != null") == ["library"]
    assert needs_of("any where true") == []


def test_an_overlay_may_say_what_a_check_needs():
    assert needs_of("any where true", '\nneeds = ["logon"]') == ["logon"]
    overlay = GOOD + 'needs = ["lookups"]\n'
    assert "needs: 'lookups' is no kind." in faults(overlay)[0]


def test_rarity_is_read_and_needs_a_pivot():
    rare = 'rare = { field = "file.path", hosts_at_most = 2, days = 7 }\n'
    guide = parse_guide(NOTE, [ENTRY], GOOD + rare, path="x.toml")
    assert guide.checks_of("real")[0].rare == Rare("file.path", 2, 7)
    (fault,) = faults((GOOD + rare).replace('pivot = "files"', 'pivot = "alert"'))
    assert "rare: needs a search" in fault


def test_an_overlay_completes_the_guide():
    guide = parse_guide(NOTE, [ENTRY], GOOD, path="x.toml")
    question = guide.question("real")
    assert (question.title, question.short_title, question.pivots) == (
        "Is it real?",
        "Real?",
        ("files", "runs"),
    )
    assert question.requires.telemetry == (TelemetryKind.FILE, TelemetryKind.PROCESS)
    assert (question.requires.confirmation, question.requires.is_declared) == (True, True)
    assert guide.pivot("files").columns == ("file.path",)
    assert guide.pivot("runs").filters == Filters(
        (
            (
                Clause("event.category", Operator.IS, ("process",)),
                Clause("process.executable", Operator.IS, ("{{pivots.files.file.path}}",)),
            ),
        )
    )
    (check,) = guide.checks_of("real")
    assert (check.key, check.pivot, check.points) == ("temp", "files", Points.ESCALATE)
    assert (guide.applies_to, guide.overlay_version) == (("r-2",), 3)


def test_every_fault_is_reported_at_once_with_its_line():
    overlay = GOOD.replace("number = 1", "number = 9").replace('pivot = "files"', 'pivot = "file"')
    overlay = overlay.replace('"escalate"', '"up"').replace('after = "files"', 'afer = "files"')
    overlay = overlay.replace('"process"]', '"proces"]').replace("file.path : ", "file.path : : ")
    found = faults(overlay)
    assert [fault.split(": ")[0] for fault in found] == [
        "x.guide.toml:5",
        "x.guide.toml:9",
        "x.guide.toml:19",
        "x.guide.toml:20",
        "x.guide.toml:26",
        "x.guide.toml:27",
        "x.guide.toml:28:32",
    ]


def test_a_fault_in_a_check_has_a_caret():
    (fault,) = faults(GOOD.replace('"*Temp*"', ""))
    assert fault.startswith("x.guide.toml:28:32:")
    assert "^" in fault


def test_a_check_over_a_sequence_is_refused():
    (fault,) = faults(
        GOOD.replace('file where file.path : "*Temp*"', "sequence [any where true] [any where true]")
    )
    assert "must speak of one event" in fault


def test_a_placeholder_inside_other_text_is_refused():
    found = faults(GOOD.replace('is = "process"', 'is = "x{{host.id}}"'))
    assert "must be the whole value" in found[0]


def test_a_misspelt_key_is_not_lost():
    (fault,) = faults(GOOD.replace("confirmation = true", "confirmatoin = true"))
    assert fault.startswith("x.guide.toml:10: question.0.requires.confirmatoin: means nothing here.")
