"""The demo's people and scenarios, and links from the command line."""

from io import StringIO

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from detections.actors import of_user
from detections.models import Import
from triage import access, demo
from triage.errors import TriageError


def test_the_demo_has_a_person_of_each_role_and_a_second_lead_to_approve(db, product):
    demo.make_people(actor=product)
    people = User.objects.order_by("pk").values_list("username", "groups__name", "is_staff")
    assert list(people) == [
        ("analyst", "Analyst", False),
        ("lead", "Lead", False),
        ("lead2", "Lead", False),
        ("admin", "Admin", True),
    ]


def test_the_demo_s_people_have_no_password(db, product):
    assert [person.has_usable_password() for person in demo.make_people(actor=product)] == [False] * 4


def test_making_the_people_again_changes_nothing(db, product):
    first = demo.make_people(actor=product)
    assert demo.make_people(actor=product) == first


def test_the_demo_stays_out_of_an_instance_in_use(ana, product):
    with pytest.raises(TriageError, match="has accounts of its own \\(ana\\)"):
        demo.make_people(actor=product)
    assert User.objects.count() == 1


def test_a_demo_to_which_an_account_was_added_starts_again(db, product):
    made = demo.make_people(actor=product)
    User.objects.create_user("otto")
    assert demo.make_people(actor=product) == made


def test_scenarios_are_imported_once(store, product):
    demo.make_people(actor=product)
    first = [(name, summary.new) for name, summary in demo.import_scenarios(actor=product, store=store)]
    sizes = {"malicious": 32, "benign": 240, "ambiguous": 9, "second_host": 6}
    assert first == [(f"{name}.ndjson", size) for name, size in sizes.items()]
    assert [summary for _name, summary in demo.import_scenarios(actor=product, store=store)] == [None] * 4


def test_an_import_that_was_killed_midway_is_finished_without_doubles(store, product):
    demo.make_people(actor=product)
    list(demo.import_scenarios(actor=product, store=store))
    Import.objects.update(status="running")
    again = [summary.new for _name, summary in demo.import_scenarios(actor=product, store=store)]
    assert again == [0, 0, 0, 0]


def test_the_command_prints_a_link_that_signs_in(ana):
    out = StringIO()
    call_command("sign_in_link", "ana", address="https://casewright.example/", stdout=out)
    link = out.getvalue().split()[-1]
    assert link.startswith("https://casewright.example/sign-in/once/")
    assert access.redeem(link.rstrip("/").rsplit("/", 1)[1]) == ana


def test_the_command_names_an_account_that_is_not_there(db):
    with pytest.raises(CommandError, match="No account is called nobody"):
        call_command("sign_in_link", "nobody")


def test_the_link_leads_to_a_button_and_the_button_signs_in(ana, client, product):
    address = f"/sign-in/once/{access.issue(ana, actor=product)}/"
    assert b"This link signs you in one time" in client.get(address).content
    assert client.post(address).status_code == 302
    assert of_user(User.objects.get(pk=client.session["_auth_user_id"])).user == ana


def test_the_next_day_is_imported_as_of_now(store, product, capsys):
    call_command("demo", "--next-day")
    assert "48 events" in capsys.readouterr().out
    assert demo.import_next_day(actor=product, store=store).new == 48
