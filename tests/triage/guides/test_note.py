"""Notes become questions, and nothing of a note is dropped."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detections.enums import TelemetryKind
from detections.rule_files import load_rules
from tests.shared import shared
from triage.guides import parse_guide
from triage.guides.model import StageFor
from triage.guides.placement import placed

ENTRY = {
    "provider": "investigate",
    "label": "Files",
    "providers": [
        [{"field": "event.category", "queryType": "phrase", "value": "file", "valueType": "string"}]
    ],
    "relativeFrom": "now-48h/h",
    "relativeTo": "now",
}
NOTE = """## Triage and analysis

### Investigating a thing

An introduction.

#### Possible investigation steps

- Is it real?
  - Why: because.
  - Focus: `host.id` and `file.path`. $investigate_0
  - Hint: look twice.
  - Note to self.
  - Implication: escalate when it is odd; lower only when known. Missing file events leave it unresolved.

- Escalate when odd; close when known.

### False positive analysis

- Backups do this.

### Response and remediation

- If confirmed benign:
  - Write it down.
- Isolate the host.

### Related rules

- Another rule.
"""


def test_a_structured_note_becomes_a_guide():
    guide = parse_guide(NOTE, [ENTRY])
    (question,) = guide.questions
    assert (guide.title, guide.closing) == ("Investigating a thing", "Escalate when odd; close when known.")
    assert (question.title, question.why, question.hint) == ("Is it real?", "because.", "look twice.")
    assert (question.focus.text, question.focus.fields) == (
        "`host.id` and `file.path`.",
        ("host.id", "file.path"),
    )
    assert question.escalate_when == "escalate when it is odd"
    assert question.lower_when == "lower only when known."
    assert question.missing_means == "Missing file events leave it unresolved."
    assert question.details == "- Note to self."
    assert question.pivots == ("investigate_0",)
    assert question.requires.telemetry == (TelemetryKind.FILE,)
    assert guide.false_positives.points == ("Backups do this.",)
    assert [(stage.applies, stage.text) for stage in guide.response] == [
        (StageFor.BENIGN, "- Write it down."),
        (StageFor.ANY, "Isolate the host."),
    ]
    assert [(section.title, section.text) for section in guide.sections] == [
        ("Investigating a thing", "An introduction."),
        ("Related rules", "- Another rule."),
    ]


def test_an_inline_pivot_means_the_same_as_a_transform():
    inline = (
        '!{investigate{"description":"","label":"Files","providers":[[{"excluded":false,"field":"event.category",'
        '"queryType":"phrase","value":"file","valueType":"string"}]],"relativeFrom":"now-48h/h","relativeTo":"now"}}'
    )
    assert parse_guide(NOTE.replace("$investigate_0", inline)).pivots == parse_guide(NOTE, [ENTRY]).pivots


def test_a_free_form_note_gives_plain_questions():
    guide = parse_guide(
        "### Possible investigation steps\n\n- Look at the host.\n  - And at the user.\n- Think.\n"
    )
    assert [(question.title, question.details) for question in guide.questions] == [
        ("Look at the host.", "- And at the user."),
        ("Think.", ""),
    ]
    assert guide.closing == ""


@pytest.mark.parametrize(
    "heading", ["### Resources accessed by the user", "### Setup the investigation", "### Steps"]
)
def test_a_heading_that_only_begins_like_another_still_asks(heading):
    guide = parse_guide(f"{heading}\n\n- Who did it?\n- Range: is the address in the VPN?\n")
    assert [question.title for question in guide.questions] == [
        "Who did it?",
        "Range: is the address in the VPN?",
    ]


def test_a_bold_line_that_only_begins_like_a_heading_is_text():
    note = "### Possible investigation steps\n\n**Response times of the server**\n\n- Are they long?\n"
    assert [question.title for question in parse_guide(note).questions] == ["Are they long?"]


@pytest.mark.parametrize("token", ["$investigate_7", "!{investigate{broken"])
def test_a_broken_token_stays_and_is_reported(token):
    guide = parse_guide(NOTE.replace("$investigate_0", token), [])
    assert token in guide.questions[0].focus.text
    assert len(guide.faults) == 1


def test_a_pivot_that_would_read_everything_is_refused():
    guide = parse_guide(NOTE, [{**ENTRY, "providers": []}])
    assert guide.pivots == ()
    assert "it would read everything" in str(guide.faults[0])


def test_an_osquery_entry_becomes_text():
    osquery = {"provider": "osquery", "label": "Cache", "query": "SELECT *\nFROM dns_cache"}
    guide = parse_guide("### Possible investigation steps\n\n- Look.\n  - $osquery_0\n", [osquery])
    assert guide.questions[0].details == "- Osquery, Cache: `SELECT * FROM dns_cache`"


def words(text):
    """The text without markup, tokens and structure, for comparison."""
    text = re.sub(r"\$(investigate|osquery)_\d+", " ", text)
    return re.sub(r"[\W_]+", " ", text).strip()


def everything(guide):
    parts = [guide.title, guide.closing, *guide.false_positives.points]
    for question in guide.questions:
        parts += [question.title, question.why, question.focus.text, question.hint, question.range]
        parts += [question.library.text, question.implication, question.details]
    for text in (*guide.response, *guide.sections):
        parts += [text.title, text.text]
    return words("\n".join(parts))


STRUCTURE = re.compile(
    r"#+\s.*(triage|investigation steps?|false positives?|response)\b.*|\s*-\s*\*{0,2}"
    r"(?:Why|Focus|Hint|Range|Library|Implication):\s*",
    re.IGNORECASE,
)


def lost(note, guide):
    kept = everything(guide)
    for line in note.splitlines():
        rest = line[found.end() :] if (found := STRUCTURE.match(line)) else re.sub(r"^[\s>*#\d.-]*", "", line)
        # A token amid a sentence is replaced by its pivot's label, so its two halves are looked for apart.
        for part in re.split(r"\$(?:investigate|osquery)_\d+", rest):
            if words(part) not in kept:
                yield part


SENTENCES = st.lists(st.text("abcdefgh .,'()", min_size=4, max_size=40).filter(words), max_size=4)


@given(SENTENCES, SENTENCES, SENTENCES, st.sampled_from(["", "Focus: ", "Hint: ", "Implication: "]))
def test_every_sentence_lands_somewhere(steps, nested, other, label):
    note = "Before.\n\n### Possible investigation steps\n\n"
    for step in steps:
        note += f"- {step.strip()}\n" + "".join(f"  - {label}{line.strip()}\n" for line in nested)
    note += "\n### Response and remediation\n\n" + "".join(f"- {line.strip()}\n" for line in other)
    note += "\n### Odd part\n\nThe end.\n"
    assert list(lost(note, parse_guide(note))) == []


def test_nothing_of_the_public_guides_is_dropped():
    rules = [rule for rule in load_rules([shared("rules/elastic-rules.tar.gz")]).rules if rule.note]
    guides = [(rule, parse_guide(rule.note, rule.transforms, path=rule.path)) for rule in rules]
    assert len(guides) == 1173
    assert [str(fault) for _, guide in guides for fault in guide.faults] == []
    assert sum(len(guide.pivots) for _, guide in guides) == 441
    assert sum(bool(question.implication) for _, guide in guides for question in guide.questions) == 594
    assert [(rule.path, part) for rule, guide in guides for part in lost(rule.note, guide)] == []


@pytest.mark.parametrize(
    "write",
    [
        lambda note: re.sub(r"- (Why|Focus|Hint|Implication):", r"- *\1*:", note),
        lambda note: re.sub(r"- (Why|Focus|Hint|Implication):", r"- **\1s:**", note),
        lambda note: re.sub(r"- (Why|Focus|Hint|Implication):", lambda found: found[0].lower(), note),
        lambda note: note.replace("  - ", "- "),
        lambda note: re.sub(r"^#### (.*)$", r"**\1**", note, flags=re.MULTILINE),
        lambda note: re.sub(r"^(#{3,4}) (.*)$", r"\1 **\2:**", note, flags=re.MULTILINE),
        lambda note: note.replace("\n", "\r\n").replace("- ", "* "),
        lambda note: f"{note}\n## Setup\n\n- Turn auditing on.\n",
    ],
    ids=["italic", "bold", "lower", "flat", "bold line", "bold heading", "stars", "setup"],
)
def test_other_ways_of_writing_a_guide_mean_the_same(write):
    note, told = write(NOTE.replace("  - Note to self.\n", "")), parse_guide(NOTE, [ENTRY])
    guide = parse_guide(note, [ENTRY])
    (question,) = guide.questions
    (known,) = told.questions
    assert (question.why, question.hint, question.escalate_when) == (
        known.why,
        known.hint,
        known.escalate_when,
    )
    assert (question.focus.fields, question.pivots) == (known.focus.fields, known.pivots)
    assert (guide.closing, guide.false_positives) == (told.closing, told.false_positives)
    assert [line.text for line in placed(note, guide) if line.is_left_over] == []


@pytest.mark.parametrize(
    "asked",
    [
        "Who else saw it?",
        "Was the session closed before the download?",
        "**Has anybody escalated it before?**",
        'Does the ticket say "closed as benign?"',
        "Was the ticket closed? Look into the ticket system.",
    ],
)
def test_a_last_question_without_labels_is_no_closing_sentence(asked):
    guide = parse_guide(NOTE.replace("Escalate when odd; close when known.", asked), [ENTRY])
    assert ([question.title for question in guide.questions], guide.closing) == (["Is it real?", asked], "")


@pytest.mark.parametrize(
    "said",
    [
        "Escalate when odd; close when known.",
        "Escalate when `reg.exe /?` or https://example.com/?a=b was asked for; close when known.",
    ],
)
def test_a_last_statement_about_escalating_or_closing_is_the_closing_sentence(said):
    guide = parse_guide(NOTE.replace("Escalate when odd; close when known.", said), [ENTRY])
    assert ([question.title for question in guide.questions], guide.closing) == (["Is it real?"], said)


def test_what_nobody_could_answer_one_by_one_is_kept_as_text():
    note = "#### Investigation steps\n\n" + "".join(f"- Question {n}?\n" for n in range(150))
    guide = parse_guide(note)
    assert (len(guide.questions), len(guide.faults)) == (100, 1)
    assert "Question 149?" in guide.sections[-1].text
    assert [line.text for line in placed(note, guide) if line.is_left_over] == []
