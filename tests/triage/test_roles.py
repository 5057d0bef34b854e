"""What each group may do."""

import pytest
from django.contrib.auth.models import AnonymousUser, Group, User

from detections.actors import of_user, system
from detections.models import Rule
from triage.models import Case

pytestmark = pytest.mark.django_db


def person(*groups: str, **fields: bool) -> User:
    user = User.objects.create_user("pat", **fields)
    user.groups.set(Group.objects.filter(name__in=groups))
    return user


def rule() -> Rule:
    return Rule.objects.create(rule_id="r1", name="R", type="eql", severity="high", risk_score=73)


@pytest.mark.parametrize(
    ("group", "answers", "approves", "tunes"),
    [("Analyst", True, False, False), ("Lead", True, True, False), ("Admin", False, False, True)],
)
def test_groups_hold_their_duties(group: str, *, answers: bool, approves: bool, tunes: bool) -> None:
    actor = of_user(person(group))
    found = [actor.can(p) for p in ("triage.answer_question", "triage.approve", "detections.change_rule")]
    assert found == [answers, approves, tunes]


def test_a_superuser_has_no_duty_by_that_alone() -> None:
    assert of_user(person(is_superuser=True)).can("triage.approve") is False


def test_an_inactive_account_and_a_stranger_see_nothing() -> None:
    rule()
    for user in (person("Lead", is_active=False), AnonymousUser()):
        assert list(Rule.objects.visible_to(of_user(user))) == []


def test_lists_narrow_to_what_the_actor_may_see() -> None:
    made = rule()
    assert list(Rule.objects.visible_to(of_user(person("Analyst")))) == [made]
    assert list(Rule.objects.visible_to(system("test"))) == [made]
    assert Case.objects.visible_to(of_user(User.objects.create_user("otto"))).count() == 0
