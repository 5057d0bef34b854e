"""Notes that are broken, hostile or huge: a clear state, the rest works, and nothing is dropped."""

import random
import re
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from detections.rule_files import load_rules
from tests.faults import number
from tests.shared import shared
from tests.triage.guides.test_note import ENTRY, NOTE, lost
from triage.guides import Blocked, fill, parse_guide, render
from triage.guides.placement import placed

PIECES = [
    "```\n", "!{investigate{", "!{investigate{}}", "$investigate_99", "$osquery_7", " `", "\n\n", "\n- ",
    "\n  - Hint: ", "> ", "\n# ", "\n### False positive analysis\n", "|a|b|\n|-|-|\n", "<script>", "\t",
    "\n1. ", "***", "\n---\n", "\u202e", "\x00", "\r", "~~~", "    ",
]  # fmt: skip


def mutated(note: str, chance: random.Random) -> str:
    """A note with a few pieces put in, cut out, swapped or cut off."""
    for _ in range(chance.randint(1, 6)):
        place, way = chance.randrange(len(note) + 1), chance.random()
        if way < 0.5:
            note = note[:place] + chance.choice(PIECES) + note[place:]
        elif way < 0.7:
            note = note[:place] + note[place + chance.randint(1, 80) :]
        elif way < 0.9:
            lines = note.split("\n")
            one, other = chance.randrange(len(lines)), chance.randrange(len(lines))
            lines[one], lines[other] = lines[other], lines[one]
            note = "\n".join(lines)
        else:
            note = note[:place]
    return note


@settings(deadline=None)
@given(st.integers())
@example(1702)
def test_a_mutated_note_is_read_whole(seed):
    note = mutated(NOTE, random.Random(seed))
    left = [line.text for line in placed(note, parse_guide(note, [ENTRY])) if line.is_left_over]
    # A label twice in a row is taken off twice by the comparison alone.
    assert [text for text in left if text.count(": ") < 2] == []


def test_every_word_is_kept_beside_odd_line_ends_deep_lists_and_definitions_of_links():
    note = (
        "### Investigation steps\n- a\u2028b \x0b\x0c\x85 c\n\n"
        "```\nfenced one\n```\r\n\n| t | u |\r|---|---|\n"
        "| two | three |\n\nsee [four][x]\n\n[x]: https://example.org/five\n\n"
        + "".join(f"{'  ' * depth}- level{depth}\n" for depth in range(60))
        + "\n> six\n"
    )
    words = set(re.findall(r"\w+", note)) - {"Investigation", "steps"}
    kept = set(re.findall(r"\w+", repr(parse_guide(note, [])).encode().decode("unicode_escape")))
    assert words - kept == set()


@pytest.mark.slow
def test_mutated_public_notes_are_read_whole():
    rules = [rule for rule in load_rules([shared("rules/elastic-rules.tar.gz")]).rules if rule.note]
    chance = random.Random(20)
    for _ in range(number(500, 1_500)):
        rule = chance.choice(rules)
        note = mutated(rule.note, chance)
        left = [line.text for line in placed(note, parse_guide(note, rule.transforms)) if line.is_left_over]
        assert [text for text in left if "Focus: - Focus" not in text] == [], rule.path


@pytest.mark.parametrize(
    "note",
    [
        "#### Investigation steps\n\n" + "- Why is it so?\n  - Focus: `a.b`\n" * 2500,
        "!{investigate{ " * 6600,
        "!{investigate{" + "[" * 1_000_000,
        "```\n" + "x y z\n" * 160_000,
        "- " * 500_000,
        ">" * 1_000_000,
        "`a" * 500_000,
        "<div><script>alert(1)</script>\n" * 30_000,
        "- $investigate_0 $investigate_99\n" * 3000,
        "word " * 200_000,
    ],
    ids=["questions", "tokens", "brackets", "fence", "nested", "quotes", "ticks", "html", "pivots", "a line"],
)
def test_a_huge_note_takes_no_longer_than_it_is_long(note):
    began = time.process_time()
    parse_guide(note, [ENTRY])
    assert time.process_time() - began < 2.5


def test_an_unclosed_code_block_takes_what_follows_and_nothing_is_lost():
    note = NOTE.replace("- Backups do this.", "```\n- Backups do this.")
    guide = parse_guide(note, [ENTRY])
    assert guide.questions[0].title == "Is it real?"
    assert list(lost(note, guide)) == []


def test_an_entry_that_is_broken_leaves_the_others_in_use():
    note = NOTE.replace("Hint: look twice.", "Hint: look twice. !{investigate{broken")
    guide = parse_guide(note, [ENTRY])
    assert (len(guide.pivots), len(guide.faults)) == (1, 1)
    assert guide.faults[0].location.line == 12
    assert "!{investigate{broken" in guide.questions[0].hint


def test_html_and_script_are_words():
    guide = parse_guide(
        NOTE.replace("because.", "<script>alert(1)</script> [x](javascript:alert(1))"), [ENTRY]
    )
    assert render(guide.questions[0].why) == (
        "<p>&lt;script&gt;alert(1)&lt;/script&gt; [x](javascript:alert(1))</p>\n"
    )


def test_a_placeholder_on_a_field_that_differs_blocks_its_pivot():
    entry = {
        **ENTRY,
        "providers": [[{"field": "user.name", "queryType": "phrase", "value": "{{user.name}}"}]],
    }
    (pivot,) = parse_guide(NOTE, [entry]).pivots
    found = fill(pivot, [{"user": {"name": "a"}}, {"user": {"name": "b"}}])
    assert found == Blocked(
        "user.name",
        "user.name differs between the alert's events; name one of events[0].user.name, events[1].user.name.",
    )
