"""Exceptions from and to Kibana."""

import json
from datetime import UTC, datetime
from io import StringIO
from random import Random

import pytest
import time_machine
from django.core.management import call_command

from detections.actors import NotPermittedError
from detections.models import Rule
from tests.factories.cases import alert
from tests.factories.events import attack
from tests.factories.exceptions import NO_CHILD, PLAIN, back_tested, content
from tests.factories.kibana_exceptions import CASES, entry, exception_lines
from tests.factories.rules import rule as make_rule
from triage.errors import TriageError
from triage.exception_items import exchange as exception_exchange
from triage.exception_items import states as exception_states
from triage.exception_items.content import content_of, entries_of, sentence
from triage.exception_items.evaluation import subject_of
from triage.exception_items.exchange import export_items, import_items
from triage.exception_items.kibana_entries import read_entries, written_entries
from triage.exception_items.matching import compiled_content, holds
from triage.exception_items.query import as_query
from triage.exception_items.value_lists import draft_list
from triage.models import ExceptionItem, ExceptionVersion

pytestmark = pytest.mark.django_db
AT = datetime(2026, 3, 18, 9, 41, tzinfo=UTC)


@pytest.fixture(autouse=True)
def clock():
    with time_machine.travel(AT, tick=True) as traveller:
        yield traveller


@pytest.fixture
def rule(store):
    return make_rule()


def item(*entries, **parts):
    values = {"item_id": "i1", "list_id": "l1", "name": "One", "type": "simple", "entries": list(entries)}
    return json.dumps({**values, **parts})


def match(field, value, **parts):
    return {"field": field, "operator": "included", "type": "match", "value": value, **parts}


def test_an_export_of_200_items_of_every_kind_is_the_import_again(rule, analyst):
    draft_list("known names", "keyword", ["a"], actor=analyst, reason="x")
    lines = exception_lines(200)
    done = import_items(lines, actor=analyst, rule=rule)
    assert (done.refused, done.known, len(done.drafted)) == ([], [], 200)
    exported = export_items(ExceptionItem.objects.order_by("pk"), actor=analyst)
    assert exported.refused == []
    assert [json.loads(line) for line in exported.lines] == [json.loads(line) for line in lines]
    again = import_items(lines, actor=analyst, rule=rule)
    assert (len(again.known), again.drafted, ExceptionItem.objects.count()) == (200, [], 200)


@pytest.mark.parametrize("kind", CASES)
def test_entries_are_written_as_they_were_read(kind):
    random = Random(kind)
    came = [entry(random, kind) for _ in range(50)]
    read = read_entries(came)
    assert written_entries(read, {}) == came
    # What is stored of them is the same again.
    assert entries_of([exception_exchange.entry_data(one) for one in read]) == read


def test_an_item_arrives_as_a_draft_that_says_what_differs(rule, analyst):
    negated = match("user.name", "eve", operator="excluded")
    done = import_items([item(match("host.id", "host-1"), negated)], actor=analyst, rule=rule)
    version = done.drafted[0].version
    assert (version.state, version.item.origin, version.item.owner) == ("draft", "kibana", analyst.user)
    expected = (
        exception_exchange.BEFORE_MATCHING,
        exception_exchange.PAIRING,
        exception_exchange.NEGATED,
        "It has no end. Set one: nothing is hidden for ever.",
    )
    assert done.drafted[0].notes == expected
    assert version.item.source["notes"] == list(expected)


def test_what_can_not_match_as_in_kibana_is_named(rule, analyst):
    query = """sequence by host.id with maxspan=1m
      [process where process.name == "a.exe"]
      ![file where file.name == "b"]
      [network where destination.port == 1]
    until [process where process.name == "c.exe"]"""
    rule.current.query = query
    rule.current.save()
    assert exception_exchange.differences(rule, ()) == [
        exception_exchange.BEFORE_MATCHING,
        exception_exchange.PAIRING,
        exception_exchange.MISSING,
        exception_exchange.UNTIL,
    ]


def test_one_event_has_to_satisfy_all_entries(rule, analyst):
    lines = [item(match("process.name", "mshta.exe"), match("source.ip", "10.0.0.9"))]
    version = import_items(lines, actor=analyst, rule=rule).drafted[0].version
    both = compiled_content(content_of(version))
    assert holds(both, subject_of(alert(rule, attack(AT), AT)))
    apart = attack(AT)
    apart[1]["process"]["name"] = "other.exe"
    assert not holds(both, subject_of(alert(rule, apart, AT, name="a2")))


def test_nested_entries_speak_of_one_element(rule, analyst):
    nested = {
        "field": "process.code_signature",
        "type": "nested",
        "entries": [match("subject_name", "Good"), match("status", "trusted")],
    }
    version = import_items([item(nested)], actor=analyst, rule=rule).drafted[0].version
    made = compiled_content(content_of(version))
    assert [sentence(clause.entry) for clause in made.clauses] == [
        "an event of the alert: process.code_signature has an element with subject_name is Good and "
        "status is trusted"
    ]
    documents = attack(AT)
    signature = [{"subject_name": "Good", "status": "trusted"}, {"subject_name": "Bad", "status": "none"}]
    documents[0]["process"]["code_signature"] = signature
    assert holds(made, subject_of(alert(rule, documents, AT)))
    signature[0]["subject_name"], signature[1]["subject_name"] = "Bad", "Good"
    assert not holds(made, subject_of(alert(rule, documents, AT, name="a2")))


REFUSED = {
    "no entries": ({}, "It has no entries"),
    "a list that is not here": (
        {"entries": [{"field": "user.name", "type": "list", "operator": "included", "list": {"id": "x"}}]},
        "There is no value list 'x'",
    ),
    "a field that is not known": ({"entries": [match("nonsense.field", "x")]}, "nonsense.field is no field"),
    "a kind that is not known": (
        {"entries": [{"field": "user.name", "type": "regex", "value": "x"}]},
        "kind that is not known here: regex",
    ),
    "an end that is past": (
        {"entries": [match("user.name", "x")], "expire_time": "2026-01-01T00:00:00Z"},
        "It ended on 2026-01-01",
    ),
}


@pytest.mark.parametrize(("parts", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_can_not_be_taken_over_is_refused_with_the_reason(rule, analyst, parts, reason):
    done = import_items([item(**parts), item(match("user.name", "y"))], actor=analyst, rule=rule)
    assert ([one.name for one in done.refused], len(done.drafted)) == (["One"], 1)
    assert reason in done.refused[0].reason


def test_a_list_belongs_to_the_rules_that_name_it(rule, analyst):
    lines = [item(match("user.name", "x"))]
    assert "No rule that is installed here" in import_items(lines, actor=analyst).refused[0].reason
    rule.current.source = json.dumps({"rule_id": rule.rule_id, "exceptions_list": [{"list_id": "l1"}]})
    rule.current.save()
    assert [one.version.item.rule for one in import_items(lines, actor=analyst).drafted] == [rule]
    endpoint = json.dumps({"list_id": "l1", "type": "endpoint", "name": "Agents"})
    done = import_items([endpoint, *lines], actor=analyst, rule=rule)
    assert done.refused[0].reason.startswith("Its list is of the kind endpoint")


def test_lines_that_are_none_and_people_who_may_not(rule, analyst, outsider):
    done = import_items(["{", "[]"], actor=analyst, rule=rule)
    assert [one.name for one in done.refused] == ["line 1", "line 2"]
    with pytest.raises(NotPermittedError):
        import_items([], actor=outsider)


def in_force(content_of_it, analyst, lead):
    version = exception_states.draft(content_of_it, actor=analyst)
    return approved(version, analyst, lead)


def approved(version, analyst, lead):
    back_tested(version)
    version = exception_states.propose(version, actor=analyst, revision=version.revision)
    return exception_states.approve(version, actor=lead, seen_sha256=version.content_sha256)


def test_what_kibana_can_not_say_is_not_written(rule, analyst, lead):
    for more in ([], [NO_CHILD], [PLAIN[1]]):
        in_force(content(rule, PLAIN[0], *more), analyst, lead)
    items = ExceptionItem.objects.order_by("pk")
    done = export_items(items, actor=analyst)
    written = [json.loads(line).get("item_id") for line in done.lines]
    assert written == [None, f"casewright-{items[0].number}", None]
    assert [one.reason for one in done.refused] == [
        f"It speaks of {what}: in Kibana an exception sees one event, and nothing around it."
        for what in ("child process", "the alert's network event")
    ]


def test_what_is_not_in_force_does_not_begin_to_hide_in_kibana(rule, analyst, lead):
    exception_states.draft(content(rule, PLAIN[0]), actor=analyst)
    over = in_force(content(rule, PLAIN[0]), analyst, lead)
    exception_states.revoke(over, actor=lead, reason="Done.")
    done = export_items(ExceptionItem.objects.order_by("pk"), actor=analyst)
    assert (done.items, [one.reason for one in done.refused]) == (
        0,
        [
            "It is not in force here (draft), and Kibana would hide by it at once.",
            "It is revoked, and Kibana would hide by it again.",
        ],
    )


def test_an_edit_is_written_in_place_of_what_came_once_it_is_approved(rule, analyst, lead):
    lines = [item(match("host.id", "host-1"), description="Old", comments=[{"comment": "c"}])]
    version = import_items(lines, actor=analyst, rule=rule).drafted[0].version
    edited = content(rule, PLAIN[0], reason="New")
    version = exception_states.edit(version, edited, actor=analyst, revision=version.revision)
    assert export_items(ExceptionItem.objects.all(), actor=analyst).refused[0].reason == (
        "What was changed here is not in force yet: until then Kibana keeps what it has."
    )
    approved(version, analyst, lead)
    row = json.loads(export_items(ExceptionItem.objects.all(), actor=analyst).lines[1])
    assert row["entries"] == [match("host.id", ["host-1", "host-2"], type="match_any")]
    assert (row["description"], row["comments"], row["item_id"]) == ("New", [{"comment": "c"}], "i1")
    assert row["expire_time"].startswith("2026-06-16T")


def test_an_export_reads_many_items_at_once(rule, analyst, django_assert_num_queries):
    import_items(exception_lines(9, list_id="l2"), actor=analyst, rule=rule)
    with django_assert_num_queries(3):
        export_items(ExceptionItem.objects.all(), actor=analyst)


def test_the_query_that_it_means(rule):
    wanted = content(
        rule,
        {"scope": "event", "field": "host.id", "operator": "is_one_of", "values": ["a", "b"]},
        {"scope": "event", "field": "user.name", "operator": "is", "values": ["eve"], "negated": True},
        {"scope": "event", "field": "process.executable", "operator": "matches", "values": ["C:\\Tools\\*"]},
        {"scope": "event", "field": "source.ip", "operator": "cidr", "values": ["10.0.0.0/8"]},
    )
    eve = {"bool": {"filter": [{"exists": {"field": "user.name"}}], "must_not": [
        {"term": {"user.name": {"value": "eve"}}}]}}  # fmt: skip
    assert as_query(wanted) == {
        "bool": {
            "filter": [
                {"terms": {"host.id": ["a", "b"]}},
                eve,
                {"wildcard": {"process.executable": {"value": "C:\\\\Tools\\\\*"}}},
                {"term": {"source.ip": {"value": "10.0.0.0/8"}}},
            ]
        }
    }
    with pytest.raises(TriageError, match=r"remote\.ip is worked out here"):
        as_query(
            content(rule, {"scope": "event", "field": "remote.ip", "operator": "is", "values": ["10.0.0.9"]})
        )


def test_the_command_imports_and_exports(rule, ana, tmp_path, capsys):
    path = tmp_path / "export.ndjson"
    path.write_text(item(match("user.name", "x")) + "\n" + item(item_id="i2"))
    call_command("exceptions", "import", str(path), "--as", "ana", "--rule", rule.rule_id)
    said = capsys.readouterr()
    assert "1 drafted, 0 here already, 1 refused." in said.out
    assert "Refused: One: It has no entries" in said.err
    out = StringIO()
    call_command("exceptions", "export", "--rule", rule.rule_id, stdout=out)
    assert [json.loads(line).get("item_id") for line in out.getvalue().splitlines()] == [None, "i1", None]
    assert ExceptionVersion.objects.get().last_edited_by == ana
    assert Rule.objects.count() == 1
