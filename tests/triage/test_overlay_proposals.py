"""Guide overlays come into force by two people, survive updates of their rule, and never weaken it unseen."""

import pytest
from django.db import IntegrityError, transaction

from detections.actors import NotPermittedError, of_user
from detections.errors import RuleFileError
from detections.models import JournalEntry, Rule
from detections.rule_loading import load_rules
from tests.conftest import person
from triage import approvals
from triage.errors import StaleEditError, TriageError
from triage.guide_versions import in_force, worked_guide
from triage.models import GuideVersion, OverlayProposal
from triage.overlay_proposals import approve, decline, propose, save_draft

pytestmark = pytest.mark.django_db

RULE = """[metadata]
[rule]
rule_id = "files"
name = "Files"
description = "d"
type = "eql"
language = "eql"
query = "{query}"
severity = "low"
risk_score = 21
note = '''
#### Investigation steps

- {first}
  - Focus: `file.path`. $investigate_0
- Who did it?
  - Focus: `user.name`.
- Escalate when odd.
'''

[[transform.investigate]]
label = "Files"
providers = [[  # noqa: E501
    {{ field = "event.category", value = "file" }},
    {{ field = "host.id", value = "{{{{host.id}}}}" }},
]]
"""
STRICT = """format = 1

[[question]]
number = 1
key = "files"

[question.requires]
telemetry = ["file"]
confirmation = true

[[check]]
key = "program"
question = "files"
pivot = "investigate_0"
points = "escalate"
when = 'file where file.extension == "exe"'
says = "It wrote a program."

[[refusal]]
fields = ["process.name"]
says = "It would hide everything."
"""
WEAK = """format = 1

[[question]]
number = 1
key = "files"

[question.requires]
telemetry = []
"""


@pytest.fixture
def file(tmp_path):
    """Write the rule's file; `overlay` beside it."""

    def write(overlay="", query="process where true", first="Did it write files?"):
        path = tmp_path / "files.toml"
        path.write_text(RULE.format(query=query, first=first))
        beside = tmp_path / "files.guide.toml"
        beside.write_text(overlay) if overlay else beside.unlink(missing_ok=True)
        return path

    return write


@pytest.fixture
def rule(store, file, product) -> Rule:
    return load_rules([file(STRICT)], actor=product).rules[0]


@pytest.fixture
def bob(db):
    return of_user(person("bob", "Lead"))


def proposed(rule, actor, text=WEAK):
    draft = save_draft(rule, text=text, reason="Too strict.", actor=actor)
    return propose(draft, actor=actor, version=draft.version)


def accept(row, actor):
    return approve(row, seen_sha256=row.content_sha256, actor=actor)


def overlay_of(rule):
    rule.refresh_from_db()
    return in_force(rule).overlay


def test_one_person_brings_nothing_into_force(rule, admin, lead):
    row = proposed(rule, lead)
    with pytest.raises(NotPermittedError, match="Lin asked for this"):
        accept(row, lead)
    with pytest.raises(NotPermittedError, match=r"triage\.approve"):
        accept(row, admin)
    assert overlay_of(rule) == STRICT


def test_another_person_brings_it_into_force_for_new_cases(rule, lead, bob):
    before = in_force(rule)
    made = accept(proposed(rule, lead), bob)
    assert (overlay_of(rule), made.number, before.overlay) == (WEAK, before.number + 1, STRICT)
    entry = JournalEntry.objects.get(verb="overlay_approved")
    assert (entry.actor, entry.before, entry.after) == ("Bob", "guide 1.1", "guide 1.2")
    assert entry.data["weakens"] == [
        'Question 1 ("Did it write files?") can be lowered without file telemetry.',
        'Question 1 ("Did it write files?") can be lowered without a confirmation record.',
        'The check program is gone: "It wrote a program."',
        "Exceptions on process.name alone are no longer refused.",
    ]


def test_who_edited_last_does_not_approve(rule, lead, bob, admin):
    draft = save_draft(rule, text=STRICT, reason="r", actor=lead)
    edited = save_draft(rule, text=WEAK, reason="r", actor=bob, proposal=draft, version=draft.version)
    row = propose(edited, actor=admin, version=edited.version)
    with pytest.raises(NotPermittedError, match="Bob edited this last"):
        accept(row, bob)
    accept(row, lead)
    assert overlay_of(rule) == WEAK


@pytest.mark.parametrize("column", ["requested_by", "last_edited_by"])
def test_the_database_holds_four_eyes_too(rule, lead, bob, column):
    row = proposed(rule, lead)
    accept(row, bob)
    with pytest.raises(IntegrityError), transaction.atomic():
        OverlayProposal.objects.filter(pk=row.pk).update(**{column: bob.user})
    with pytest.raises(IntegrityError), transaction.atomic():
        OverlayProposal.objects.filter(pk=row.pk).update(approved_by=None)


def test_an_edit_voids_the_request_and_what_was_seen(rule, lead, bob):
    row = proposed(rule, lead)
    seen = row.content_sha256
    edited = save_draft(rule, text=WEAK + "\n", reason="r", actor=lead, proposal=row, version=row.version)
    with pytest.raises(TriageError, match="not waiting"):
        approve(edited, seen_sha256=seen, actor=bob)
    again = propose(edited, actor=lead, version=edited.version)
    with pytest.raises(StaleEditError, match="Look at it again"):
        approve(again, seen_sha256=seen, actor=bob)


def test_of_two_approved_overlays_one_wins(rule, lead, bob):
    first, second = proposed(rule, lead), proposed(rule, bob, text=STRICT + "# more\n")
    accept(first, bob)
    with pytest.raises(StaleEditError, match="Another guide came into force"):
        accept(second, lead)
    with pytest.raises(TriageError, match="it is approved"):
        accept(first, of_user(person("cy", "Lead")))
    assert GuideVersion.objects.filter(rule_version__rule=rule).count() == 2


def test_two_people_writing_lose_no_text(rule, lead, bob):
    draft = save_draft(rule, text="a = 1", reason="", actor=lead)
    save_draft(rule, text="b = 1", reason="", actor=bob, proposal=draft, version=draft.version)
    with pytest.raises(StaleEditError) as stale:
        save_draft(rule, text="c = 1", reason="", actor=lead, proposal=draft, version=draft.version)
    assert stale.value.theirs.text == "b = 1"


def test_a_text_with_faults_is_kept_but_not_proposed(rule, lead):
    text = 'format = 1\n[[check]]\nkey = "k"\nwhen = "file where file.name :"\nodd = 1\n'
    draft = save_draft(rule, text=text, reason="r", actor=lead)
    with pytest.raises(RuleFileError) as broken:
        propose(draft, actor=lead, version=draft.version)
    assert [str(fault.location).rpartition("toml:")[2] for fault in broken.value.faults][-1] == "5"
    assert len(broken.value.faults) >= 3


def test_a_proposal_needs_a_reason_and_a_change(rule, lead):
    draft = save_draft(rule, text=WEAK, reason=" ", actor=lead)
    with pytest.raises(TriageError, match="Say why"):
        propose(draft, actor=lead, version=draft.version)
    with pytest.raises(TriageError, match="nothing to propose"):
        proposed(rule, lead, text=STRICT)


def test_a_decline_says_why_and_changes_nothing(rule, lead, bob):
    row = proposed(rule, lead)
    with pytest.raises(TriageError, match="Say why"):
        decline(row, reason=" ", actor=bob)
    assert decline(row, reason="No.", actor=bob).state == "declined"
    assert (overlay_of(rule), approvals.pending(bob)) == (STRICT, [])


def test_what_waits_is_listed_with_what_it_weakens(rule, lead, bob):
    proposed(rule, lead)
    (waiting,) = approvals.pending(bob)
    assert (waiting.kind, waiting.title, waiting.is_own(lead), waiting.is_own(bob)) == (
        "guide overlay",
        "Files",
        True,
        False,
    )
    assert waiting.says.startswith("It weakens the gate: Question 1")


def test_analysts_and_outsiders_write_none(rule, analyst, outsider, lead):
    proposed(rule, lead)
    for actor in (analyst, outsider):
        with pytest.raises(NotPermittedError):
            save_draft(rule, text=WEAK, reason="r", actor=actor)
    assert OverlayProposal.objects.visible_to(outsider).count() == 0
    assert approvals.pending(outsider) == []


def test_an_approved_overlay_survives_an_update_of_its_rule(rule, lead, bob, file, product):
    accept(proposed(rule, lead), bob)
    load_rules([file(STRICT, query="process where false")], actor=product)
    rule.refresh_from_db()
    assert (rule.current.number, overlay_of(rule), in_force(rule).review) == (2, WEAK, "")


def test_where_it_no_longer_fits_the_gate_gets_stricter(rule, lead, bob, file, product):
    accept(proposed(rule, lead), bob)
    load_rules([file(STRICT, first="Was it signed?")], actor=product)
    rule.refresh_from_db()
    guide = in_force(rule)
    assert (guide.overlay, guide.review) == (
        WEAK,
        'Question 1 was "Did it write files?" and is "Was it signed?" now.',
    )
    question = worked_guide(guide).questions[0]
    assert ([kind.value for kind in question.requires.telemetry], question.requires.confirmation) == (
        ["file"],
        True,
    )
    assert OverlayProposal.objects.get(state="approved").review == guide.review
    row = proposed(rule, lead, text=WEAK + "# reviewed\n")
    assert accept(row, bob).review == ""


def test_a_changed_file_is_offered_and_not_in_force(rule, file, product, lead, bob):
    summary = load_rules([file(WEAK)], actor=product)
    assert (overlay_of(rule), len(summary.unchanged)) == (STRICT, 1)
    assert "is kept as a draft until somebody proposes it" in summary.warnings[0]
    assert load_rules([file(WEAK)], actor=product).warnings == []
    (draft,) = OverlayProposal.objects.all()
    row = propose(draft, actor=lead, version=draft.version)
    with pytest.raises(NotPermittedError):
        accept(row, lead)
    accept(row, bob)
    assert overlay_of(rule) == WEAK


def test_a_file_that_adds_an_overlay_is_offered_too(store, file, product, admin):
    (rule,) = load_rules([file()], actor=product).rules
    load_rules([file(WEAK)], actor=admin)
    assert (overlay_of(rule), OverlayProposal.objects.get().state) == ("", "proposed")


def test_what_ships_is_in_force_at_once(rule, file, product):
    load_rules([file(WEAK)], actor=product, shipped=True)
    assert (overlay_of(rule), OverlayProposal.objects.count()) == (WEAK, 0)


def test_what_ships_does_not_replace_what_was_approved_here(rule, file, product, lead, bob):
    accept(proposed(rule, lead), bob)
    load_rules([file(STRICT + "# newer\n")], actor=product, shipped=True)
    assert overlay_of(rule) == WEAK
    assert "brought another overlay" in OverlayProposal.objects.get(state="approved").review
