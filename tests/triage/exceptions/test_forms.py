"""What was typed wrong is told at its field, all at once, and nothing is guessed."""

from datetime import timedelta

import pytest
from django.utils import timezone

from tests.factories.exceptions import NO_CHILD, form
from tests.factories.rules import rule as make_rule
from triage.errors import ContentFaultsError
from triage.exception_items.content import sentence
from triage.exception_items.forms import read_content
from triage.exception_items.value_lists import plain_values

pytestmark = pytest.mark.django_db


def entry(field="host.id", operator="is", values=("host-1",), **others):
    return {"scope": "event", "field": field, "operator": operator, "values": list(values), **others}


@pytest.fixture
def rule(store):
    return make_rule()


BAD = [
    (entry("process.command_line", "matches", [r".*-Embedding"]), "values", "regular expression"),
    (entry("process.command_line", "matches", [r"^C:\\Windows"]), "values", "regular expression"),
    (entry("process.executable", "matches", ["mshta\\.exe"]), "values", "regular expression"),
    (entry("process.name", "matches", ["(cmd|powershell).exe"]), "values", "regular expression"),
    (entry("process.name", "matches", ["tmp[0-9]+.exe"]), "values", "regular expression"),
    (entry("source.ip", "cidr", ["10.20.2.15/16"]), "values", "Did you mean 10.20.0.0/16"),
    (entry("source.ip", "cidr", ["10.20.2"]), "values", "is no network"),
    (entry("source.ip", "is", ["10.20.2"]), "values", "is no address"),
    (entry("process.name", "cidr", ["10.0.0.0/8"]), "values", "holds no addresses"),
    (entry("host.id", "is_one_of", [f"h{n}" for n in range(100_000)]), "values", "Make a value list"),
    (entry("host.idd"), "field", "no field of ECS"),
    (entry(""), "field", "Name a field"),
    (
        entry("dns.question.name", "is", ["swdist01.c\u043erp.example"]),
        "values",
        "U+043E, cyrillic small letter o",
    ),
    (entry("dns.question.name", "is", ["münchen.example"]), "values", "xn--mnchen-3ya.example"),
    (entry("dns.question.name", "is", ["a\u200bb.example"]), "values", "U+200B"),
    (entry(operator="in_list", values=[], value_list="none"), "value_list", "no value list"),
    (entry(operator="is", values=[]), "values", "Give a value"),
    (entry(operator="is", values=["a", "b"]), "values", "is one of"),
    (entry(operator="equals"), "operator", "Choose one of"),
    (entry(scope="galaxy"), "scope", "Choose one of"),
    (entry(quantity="none"), "quantity", "negate the operator"),
]


@pytest.mark.parametrize(("raw", "field", "says"), BAD)
def test_a_wrong_entry_is_told_at_its_field(rule, raw, field, says):
    with pytest.raises(ContentFaultsError) as refused:
        read_content(form(rule, entry(), raw))
    (fault,) = refused.value.faults
    assert (fault.entry, fault.field) == (1, field)
    assert says in fault.says


FINE = [
    entry("process.executable", "matches", ["C:\\Windows\\*\\mshta.exe"]),
    entry("process.executable", "matches", ["\\\\server\\share$\\*.hta"]),
    entry("process.name", "matches", ["update.*"]),
    entry("process.executable", "matches", ["C:\\data\\w*\\s?.exe"]),
    entry("process.command_line", "matches", ["* -Embedding"]),
    entry("dns.question.name", "is", ["Dist.Corp.Example."]),
    entry("source.ip", "cidr", ["10.20.0.0/16", "fd00::/8"]),
]


@pytest.mark.parametrize("raw", FINE)
def test_paths_and_wildcards_are_not_taken_for_regular_expressions(rule, raw):
    assert len(read_content(form(rule, raw)).entries) == 1


def test_what_is_wrong_with_the_rest_is_told_together(rule):
    past = timezone.now() - timedelta(days=1)
    with pytest.raises(ContentFaultsError) as refused:
        read_content(
            {**form(rule), "rule": "gone", "name": "", "reason": " ", "owner": "", "expires_at": past}
        )
    assert [fault.field for fault in refused.value.faults] == [
        "rule",
        "name",
        "reason",
        "owner",
        "expires_at",
    ]
    with pytest.raises(ContentFaultsError, match="A year at most"):
        read_content(form(rule, expires_at=timezone.now() + timedelta(days=400)))
    with pytest.raises(ContentFaultsError, match="no time zone"):
        read_content(form(rule, expires_at="2099-01-01T10:00"))


def test_a_draft_may_lack_what_a_proposal_needs(rule):
    found = read_content({**form(rule), "reason": "", "owner": "", "expires_at": ""}, is_draft=True)
    assert (found.reason, found.expires_at) == ("", None)


def test_values_of_a_text_are_its_lines_and_a_day_ends_with_itself(rule):
    raw = {**entry(operator="is_one_of"), "values": "host-1\r\nhost 2 \r\n\r\n"}
    day = (timezone.now() + timedelta(days=9)).date()
    found = read_content(form(rule, raw, expires_at=day.isoformat()))
    assert found.entries[0].values == ("host-1", "host 2 ")
    assert found.expires_at.date() == day + timedelta(days=1)


def test_a_negation_of_recovered_evidence_speaks_of_all_of_it(rule):
    raw = entry("dns.question.name", "is", ["evil.example"], scope="dns", negated=True)
    found = read_content(form(rule, raw, NO_CHILD))
    assert [sentence(one) for one in found.entries] == [
        "no DNS lookup: dns.question.name is evil.example",
        "no child process",
    ]
    assert found.entries[0].negated is False


def test_a_value_list_takes_values_in_one_spelling_up_to_its_cap(db):
    assert plain_values("domain", ["B.example.", "a.example", "b.example"]) == ["a.example", "b.example"]
    with pytest.raises(ContentFaultsError, match="at most 50,000"):
        plain_values("keyword", [str(number) for number in range(100_000)])
    with pytest.raises(ContentFaultsError, match="Line 2: 'nonsense' is no address"):
        plain_values("ip", ["10.0.0.1", "nonsense"])
