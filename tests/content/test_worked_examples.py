"""The overlays that docs/guides.md works out for public rules fit, and their checks see what they say."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from detections import ecs, schedules
from detections.eql.execute import stage_test
from detections.eql.known import catalogue
from detections.eql.verify import verify
from detections.rule_files import load_rules
from detections.rule_import import apply, preview
from detections.stores.base import MappedEvent
from tests.factories.cases import detect
from tests.shared import shared
from triage.guide_versions import in_force
from triage.guides import parse_guide
from triage.overlay_proposals import approve, propose, save_draft

DOCS = Path(__file__).parents[2] / "docs" / "guides.md"
NAMES = ["credential_access_dump_registry_hives", "defense_evasion_suspicious_certutil_commands"]
EXAMPLES = dict(re.findall(r"```toml\n# docs: (\w+)\n(.*?)```", DOCS.read_text(), re.DOTALL))


@pytest.fixture(scope="module")
def public():
    """The two rules, by the name of their file."""
    loaded = load_rules([shared("rules/elastic-rules.tar.gz")])
    return {name: rule for rule in loaded.rules for name in NAMES if rule.path.endswith(f"/{name}.toml")}


@pytest.mark.parametrize("name", NAMES)
def test_a_worked_overlay_fits_its_rule(public, name):
    rule = public[name]
    guide = parse_guide(rule.note, rule.transforms, EXAMPLES[name], path=rule.path)
    assert guide.faults == ()
    assert {check.question for check in guide.checks} < {question.key for question in guide.questions}


def holds(check, document):
    stage = verify(check.when, catalogue()).stages[0]
    return stage_test(stage, catalogue(), "event.category")(document)


@pytest.mark.parametrize(
    ("name", "key", "document", "fires"),
    [
        (NAMES[0], "secrets_exported", {"process": {"args": ["reg", "save", "HKLM\\SAM", "x"]}}, True),
        (NAMES[0], "secrets_exported", {"process": {"args": ["reg", "save", "hklm\\system"]}}, False),
        (NAMES[0], "to_a_share", {"process": {"args": ["\\\\srv\\c$\\s"]}}, True),
        (NAMES[0], "to_a_share", {"process": {"args": ["C:\\Users\\Public\\s"]}}, True),
        (NAMES[0], "to_a_share", {"process": {"args": ["D:\\backup\\s"]}}, False),
        (NAMES[0], "boot_key_too", {"process": {"args": ["hklm\\system"]}}, True),
        (NAMES[1], "download", {"process": {"args": ["-urlcache", "-f", "http://x/a"]}}, True),
        (NAMES[1], "download", {"process": {"args": ["-urlcache", "*", "delete"]}}, False),
    ],
)
def test_its_checks_see_what_they_say(public, name, key, document, fires):
    rule = public[name]
    guide = parse_guide(rule.note, rule.transforms, EXAMPLES[name])
    check = next(one for one in guide.checks if one.key == key)
    assert holds(check, {"event": {"category": ["process"]}, **document}) is fires


@pytest.mark.django_db
@pytest.mark.parametrize(("name", "args", "check"), [
    (NAMES[0], ["reg", "save", "hklm\\sam", "C:\\Windows\\Temp\\s"], "secrets_exported"),
    (NAMES[1], ["certutil", "-urlcache", "-f", "http://x/a.exe"], "download"),
])  # fmt: skip
def test_an_approved_overlay_works_a_case(store, public, lin, adi, lead, admin, tmp_path, name, args, check):
    path = tmp_path / f"{name}.toml"
    path.write_text(public[name].source)
    (rule,) = apply(preview([path], actor=admin), actor=admin).new
    draft = save_draft(rule, text=EXAMPLES[name], reason="Checks.", actor=admin)
    row = propose(draft, actor=admin, version=draft.version)
    approve(row, seen_sha256=row.content_sha256, actor=lead)
    assert in_force(rule).overlay == EXAMPLES[name]
    schedules.set_enabled(rule, True, actor=admin)
    at = datetime.now(UTC) - timedelta(minutes=2)
    document = {
        "@timestamp": at.isoformat(),
        "event": {"category": ["process"], "type": ["start"], "kind": "event"},
        "host": {"id": "h", "name": "h", "os": {"type": "windows"}},
        "process": {"name": f"{args[0]}.exe", "entity_id": "p", "pid": 7, "args": args,
                    "command_line": " ".join(args), "parent": {"entity_id": "q"}},
        "user": {"id": "S-1-5-21-1", "name": "u"},
    }  # fmt: skip
    store.append([MappedEvent("a" * 64, document)], batch="a")
    (case,) = detect(rule)
    assert case.guide.overlay == EXAMPLES[name]
    states = dict(case.checks.values_list("key", "state"))
    assert states[check] == "fired"
    assert ecs.text(document, "host.id") == case.host_id
