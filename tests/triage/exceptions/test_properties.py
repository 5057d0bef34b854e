"""Hidden only if an independent, plain reading of every clause says so; and the past is never changed."""

import json
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from hypothesis import given, settings
from hypothesis import strategies as st

from detections.actors import of_user, system
from tests.conftest import person
from tests.factories.cases import alert
from tests.factories.events import attack
from tests.factories.exceptions import active, back_tested
from tests.factories.rules import rule as make_rule
from triage.enums import ExceptionOperator, ExceptionQuantity, ExceptionScope
from triage.exception_items import states as exception_states
from triage.exception_items.content import RECOVERED_SCOPES, Entry
from triage.exception_items.evaluation import Subject, value_test
from triage.exception_items.integrity import faults, miscounted, standing_faults
from triage.exception_items.matching import Clause, CompiledItem, Matcher, Recovered, holds, holds_of_alert
from triage.models import Case, ExceptionVersion, Suppression
from triage.routing import route_alerts

AT = datetime(2026, 3, 18, 9, 41, tzinfo=UTC)
FIELDS = ("process.name", "user.name", "process.args")
VALUES = ("a", "b", "ab")


# -- the plain reading: written from docs/exceptions.md, sharing nothing with the product but the entry


def plain(entry, documents, recovered):
    """Whether a single `none` or `every` clause, or a group of one, holds."""
    return plain_group([entry], documents, recovered)


def plain_group(group, documents, recovered):
    events = candidates(group[0].scope, documents, recovered)
    return any(all(of_event(entry, event) for entry in group) for event in events)


def candidates(scope, documents, recovered):
    if scope == "event":
        return documents
    wanted = {"process": "process", "network": "network"}.get(scope)
    if wanted:
        return [document for document in documents if document["event"]["category"] == [wanted]]
    return recovered["events"].get(scope, [])


def values(entry, event):
    first, _, last = entry.field.partition(".")
    found = event.get(first, {}).get(last)
    return [] if found is None else found if isinstance(found, list) else [found]


def names(entry, value):
    if entry.operator == "matches":
        pattern = entry.values[0]
        return value.startswith(pattern[:-1]) if pattern.endswith("*") else value == pattern
    return value in entry.values


def of_event(entry, event):
    found = values(entry, event)
    if entry.operator == "exists":
        is_there = bool(found) or not entry.field
        return not is_there if entry.negated else is_there
    if not found:
        return False
    hit = [names(entry, value) for value in found]
    return not any(hit) if entry.negated else any(hit)


def strict(entry, recovered):
    if entry.scope not in recovered["covered"] or entry.scope in recovered["unread"]:
        return False
    for event in recovered["events"].get(entry.scope, []):
        found = values(entry, event)
        if entry.operator == "exists":
            is_there = bool(found) or not entry.field
            if is_there == (entry.quantity == "none"):
                return False
        elif not found:
            return False
        else:
            hit = [names(entry, value) for value in found]
            if (entry.quantity == "none" and any(hit)) or (entry.quantity == "every" and not all(hit)):
                return False
    return True


def plain_holds(entries, documents, recovered):
    some = [entry for entry in entries if entry.quantity == "some"]
    groups = [[entry for entry in some if entry.scope == scope] for scope in {entry.scope for entry in some}]
    return all(plain_group(group, documents, recovered) for group in groups) and all(
        strict(entry, recovered) for entry in entries if entry.quantity != "some"
    )


# -- what is generated


@st.composite
def entries(draw):
    scope = draw(st.sampled_from(list(ExceptionScope)))
    is_recovered = scope in RECOVERED_SCOPES
    operator = draw(st.sampled_from(["is", "is_one_of", "matches", "exists"]))
    quantity = draw(st.sampled_from(list(ExceptionQuantity))) if is_recovered else ExceptionQuantity.SOME
    field = draw(st.sampled_from(FIELDS))
    if is_recovered and operator == "exists" and draw(st.booleans()):
        field = ""
    if operator == "exists":
        chosen = ()
    elif operator == "matches":
        chosen = (draw(st.sampled_from(["a*", "ab", "*"])),)
    else:
        chosen = tuple(draw(st.lists(st.sampled_from(VALUES), min_size=1, max_size=2)))
    negated = not is_recovered and draw(st.booleans())
    return Entry(scope, field, ExceptionOperator(operator), chosen, quantity, negated)


@st.composite
def events(draw, category="process"):
    document = {"event": {"category": [category]}}
    for field in FIELDS:
        value = draw(st.none() | st.sampled_from(VALUES) | st.lists(st.sampled_from(VALUES), max_size=2))
        if value is not None:
            first, _, last = field.partition(".")
            document.setdefault(first, {})[last] = value
    return document


SCOPES = st.sampled_from(sorted(RECOVERED_SCOPES))
RECOVERED = st.fixed_dictionaries(
    {
        "events": st.dictionaries(SCOPES, st.lists(events(), max_size=2)),
        "covered": st.sets(SCOPES),
        "unread": st.dictionaries(SCOPES, st.just("Not read."), max_size=1),
    }
)


def compiled(chosen, number=1):
    clauses = tuple(Clause(entry, value_test(entry, {})) for entry in chosen)
    return CompiledItem(number, number, f"EX-{number}", 1, 1, AT, AT + timedelta(days=1), clauses, {})


def subject(documents):
    return Subject(1, 1, documents, (AT,), AT, AT, AT, "h", "p")


@settings(max_examples=150, deadline=None)
@given(
    st.lists(entries(), min_size=1, max_size=4),
    st.lists(events("process") | events("network"), min_size=1, max_size=3),
    RECOVERED,
)
def test_it_holds_if_and_only_if_a_plain_reading_says_so(chosen, documents, recovered):
    evidence = Recovered(recovered["events"], frozenset(recovered["covered"]), recovered["unread"])
    assert holds(compiled(chosen), subject(documents), evidence) == plain_holds(chosen, documents, recovered)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.lists(entries(), min_size=1, max_size=3), min_size=1, max_size=6),
    st.lists(events("process") | events("network"), min_size=1, max_size=3),
)
def test_the_index_leaves_out_nothing_and_lets_nothing_else_in(many, documents):
    items = [compiled(chosen, number) for number, chosen in enumerate(many, start=1)]
    seen = subject(documents)
    expected = [item.label for item in items if holds_of_alert(item, seen)]
    assert [item.label for item in Matcher(items).candidates(seen)] == expected


STEPS = st.lists(
    st.sampled_from(["alert", "alert", "strange", "route", "revoke", "renew", "expire", "hour"]),
    min_size=4,
    max_size=14,
)


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
@settings(max_examples=40, deadline=None)
@given(steps=STEPS)
def test_expiry_renewal_and_revocation_never_change_the_past(steps):
    from django.core.management import call_command

    call_command("flush", verbosity=0, interactive=False)
    ann, bob = of_user(person("ann", "Analyst")), of_user(person("bob", "Lead"))
    made, now = make_rule(), AT
    with time_machine.travel(now, tick=False) as clock:
        version = active(made, by=ann, approver=bob, expires_at=AT + timedelta(hours=30))
        kept, ever = "", {}
        for number, step in enumerate(steps):
            now += timedelta(minutes=17) if step != "hour" else timedelta(hours=9)
            clock.move_to(now)
            version = act(step, number, now, made, version, ann, bob)
            decided = {
                row.alert.alert_id: (row.version_id, row.at.isoformat())
                for row in Suppression.objects.select_related("alert")
            }
            assert {key: decided.get(key) for key in ever} == ever
            ever = decided
        kept = json.dumps(ever, sort_keys=True)
        assert "strange" not in kept
    assert [*faults(), *standing_faults(), *miscounted()] == []
    tied = Case.objects.filter(occurrences__alert__suppression__isnull=False, exception_reviews__isnull=True)
    assert tied.count() == 0


def act(step, number, now, made, version, ann, bob):
    if step in ("alert", "strange"):
        host = "host-1" if step == "alert" else "host-9"
        alert(made, attack(now, host=host, entity=f"p-{number}"), now, name=f"{step}-{number}")
    elif step == "route":
        route_alerts(actor=system("test"))
    elif step == "expire":
        exception_states.let_time_pass(actor=system("test"))
    elif step == "revoke" and current(version).state == "active":
        exception_states.revoke(version, actor=bob, reason="Random.")
    elif step == "renew" and current(version).state in ("active", "revoked", "expired"):
        draft = exception_states.renew(version, actor=ann, expires_at=now + timedelta(hours=20))
        back_tested(draft)
        draft = exception_states.propose(draft, actor=ann, revision=draft.revision)
        return exception_states.approve(draft, actor=bob, seen_sha256=draft.content_sha256)
    return version


def current(version):
    return ExceptionVersion.objects.get(pk=version.pk)
