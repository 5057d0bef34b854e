"""`manage.py guide RULE`, and where each line of a note lands."""

import pytest
from django.core.management import CommandError, call_command

from detections.rule_files import load_rules
from detections.rule_loading import SHIPPED
from tests.factories.cases import shipped_rule
from tests.factories.rule_exports import toml_rule
from tests.shared import shared
from triage.guides import parse_guide
from triage.guides.placement import placed

NOTE = """## Triage and analysis

### Investigating things

What it is about.

#### Investigation steps

- Who did it?
  - Focus: `user.name` of the alert. $investigate_0
  - Implication: escalate when nobody knows; lower only when somebody does. Missing rows say nothing.
1. Close it after 3. things, and `more`.

### False positive analysis

- Admins do this.

### Response and remediation

- Isolate the host:
  - At once.
"""


def where(note):
    return {line.text: line.place for line in placed(note, parse_guide(note))}


def test_each_line_of_a_note_has_its_place():
    assert where(NOTE) == {
        "Triage and analysis": "heading",
        "Investigating things": "title of the guide",
        "What it is about.": "section Investigating things",
        "Investigation steps": "heading",
        "Who did it?": "question 1",
        "Focus: `user.name` of the alert. $investigate_0": "question 1: Focus",
        "Implication: escalate when nobody knows; lower only when somebody does. Missing rows say nothing.": (
            "question 1: Implication"
        ),
        "Close it after 3. things, and `more`.": "closing sentence: the gate",
        "False positive analysis": "heading",
        "Admins do this.": "false positives, point 1",
        "Response and remediation": "heading",
        "Isolate the host:": "response, step 1 (any)",
        "At once.": "response, step 1 (any)",
    }


def test_a_line_that_the_guide_lost_is_left_over():
    guide = parse_guide(NOTE.replace("  - At once.\n", ""))
    assert [line.text for line in placed(NOTE, guide) if line.is_left_over] == ["At once."]


@pytest.mark.slow
def test_no_line_of_the_public_guides_is_left_over():
    rules = load_rules([shared("rules/elastic-rules.tar.gz")]).rules
    left = [
        (rule.name, line.text)
        for rule in rules
        for line in placed(rule.note, parse_guide(rule.note, rule.transforms))
        if line.is_left_over
    ]
    assert left == []


def test_the_shipped_guide_is_shown_whole(capfd):
    path = next(path for path in SHIPPED.glob("*.toml") if not path.name.endswith(".guide.toml"))
    call_command("guide", str(path), "--width", "160")
    said = capfd.readouterr().out
    assert ("LEFT OVER" in said, " 0 left over. 7 questions" in said) == (False, True)


@pytest.mark.django_db
def test_an_installed_rule_is_found_by_a_part_of_its_name(capfd):
    rule = shipped_rule()
    call_command("guide", rule.name[:12].upper())
    assert rule.name in capfd.readouterr().out


@pytest.mark.django_db
def test_a_rule_that_is_not_there_is_said():
    with pytest.raises(CommandError, match="No installed rule and no file is called 'nothing'"):
        call_command("guide", "nothing")


def test_hostile_text_is_neither_markup_nor_control(tmp_path, capfd):
    path = tmp_path / "a.toml"
    path.write_text(toml_rule("a", note="[red]bold[/red] \u202eevil [/nonsense]"))
    call_command("guide", str(path), "--width", "120")
    said = capfd.readouterr().out
    assert ("[red]bold[/red]" in said, "\u202e" in said) == (True, False)
