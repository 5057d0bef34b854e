"""Signing in, once and for the first time."""

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from detections.actors import system
from triage import access

pytestmark = pytest.mark.django_db
STRONG = "correct-horse-battery-9"


def test_a_stranger_is_sent_to_sign_in_from_every_page(client, ana):
    for name in ("queue", "rules", "health", "imports", "next_steps"):
        reply = client.get(reverse(name))
        assert reply.status_code == 302
        assert reply.url == f"/sign-in/?next={reverse(name)}"


def test_a_password_signs_in_and_leads_where_one_was_going(client, ana):
    reply = client.post("/sign-in/", {"username": "ana", "password": "ana", "next": "/rules/"})
    assert (reply.status_code, reply.url) == (302, "/rules/")


def test_an_address_elsewhere_is_not_followed(client, ana):
    reply = client.post("/sign-in/", {"username": "ana", "password": "ana", "next": "https://evil.example/"})
    assert reply.url == "/"


def test_a_wrong_password_says_so(client, ana):
    reply = client.post("/sign-in/", {"username": "ana", "password": "wrong"})
    assert reply.status_code == 403
    assert "match, or the account is disabled." in reply.text


def test_looking_at_a_one_time_link_does_not_use_it_up(client, ana):
    token = access.issue(ana, actor=system("test"))
    assert "Sign in once" in client.get(f"/sign-in/once/{token}/").text
    assert client.post(f"/sign-in/once/{token}/").url == "/"
    assert client.session["_auth_user_id"] == str(ana.pk)


def test_a_used_link_says_what_to_do(client, ana):
    token = access.issue(ana, actor=system("test"))
    client.post(f"/sign-in/once/{token}/")
    client.logout()
    reply = client.post(f"/sign-in/once/{token}/")
    assert reply.status_code == 403
    assert "was used before; each works once" in reply.text
    assert "_auth_user_id" not in client.session


def test_signing_out_needs_a_post(as_analyst):
    assert as_analyst.get("/sign-out/").status_code == 405
    assert as_analyst.post("/sign-out/").url == "/sign-in/"


def first_run(client, **changes):
    given = {"username": "root", "full_name": "Ren Tanaka", "password": STRONG, "repeated": STRONG}
    return client.post("/first-run/", given | changes)


def test_an_empty_instance_makes_its_first_admin(client):
    assert client.get("/sign-in/").url == "/first-run/"
    assert first_run(client).url == "/next-steps/"
    user = User.objects.get()
    assert (user.get_full_name(), user.is_staff, user.is_superuser) == ("Ren Tanaka", True, False)
    assert [group.name for group in user.groups.all()] == ["Admin"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"password": "12345678", "repeated": "12345678"}, "too common"),
        ({"repeated": "another"}, "The two passwords differ"),
        ({"username": "no spaces"}, "valid username"),
    ],
)
def test_a_weak_first_account_is_refused(client, changes, words):
    reply = first_run(client, **changes)
    assert reply.status_code == 422
    assert words in reply.text
    assert User.objects.count() == 0


def test_nobody_makes_a_second_first_admin(client, ana):
    assert client.get("/first-run/").url == "/"
    assert first_run(client).url == "/"
    assert list(User.objects.values_list("username", flat=True)) == ["ana"]
