"""One-time sign-ins."""

import re
import threading
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.contrib.auth.models import User
from django.db import connection

from detections.actors import NotPermittedError, of_user, system
from detections.models import JournalEntry
from triage import access
from triage.errors import TriageError
from triage.models import OneTimeSignIn

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
CONSOLE = system("command line")


@pytest.fixture
def mira(db):
    return User.objects.create_user("mira", first_name="Mira", last_name="Okafor")


def test_a_link_signs_its_account_in(mira):
    assert access.redeem(access.issue(mira, actor=CONSOLE)) == mira


def test_a_link_works_once(mira):
    token = access.issue(mira, actor=CONSOLE)
    access.redeem(token)
    with pytest.raises(TriageError, match="used before; each works once"):
        access.redeem(token)


def test_a_link_works_for_half_a_day(mira):
    with time_machine.travel(NOON, tick=False):
        token = access.issue(mira, actor=CONSOLE)
    with (
        time_machine.travel(NOON + timedelta(hours=12), tick=False),
        pytest.raises(TriageError, match="has expired"),
    ):
        access.redeem(token)


def test_an_unknown_link_is_refused(db):
    with pytest.raises(TriageError, match="not known here"):
        access.redeem("made-up")


def test_the_token_itself_is_not_stored(mira):
    token = access.issue(mira, actor=CONSOLE)
    stored = OneTimeSignIn.objects.get().token_sha256
    assert (token in stored, bool(re.fullmatch(r"[0-9a-f]{64}", stored))) == (False, True)


def test_a_disabled_account_gets_no_link_and_can_not_use_one(mira):
    token = access.issue(mira, actor=CONSOLE)
    mira.is_active = False
    mira.save()
    with pytest.raises(TriageError, match="is disabled"):
        access.redeem(token)
    with pytest.raises(TriageError, match="is disabled"):
        access.issue(mira, actor=CONSOLE)


def test_a_person_can_not_make_a_link_for_an_account(mira):
    with pytest.raises(NotPermittedError, match="Mira Okafor may not make a sign-in link"):
        access.issue(mira, actor=of_user(mira))


def test_links_and_sign_ins_are_in_the_journal(mira):
    access.redeem(access.issue(mira, actor=CONSOLE))
    entries = JournalEntry.objects.filter(stream__name="access").values_list("verb", "actor")
    assert list(entries) == [
        ("sign_in_link_issued", "System (command line)"),
        ("signed_in_by_link", "Mira Okafor"),
    ]


@pytest.mark.django_db(transaction=True)
def test_of_requests_at_the_same_moment_one_is_signed_in():
    token = access.issue(User.objects.create_user("mira"), actor=CONSOLE)
    outcomes: list[str] = []
    start = threading.Barrier(4)

    def redeem() -> None:
        start.wait()
        try:
            outcomes.append(access.redeem(token).username)
        except TriageError:
            outcomes.append("refused")
        finally:
            connection.close()

    threads = [threading.Thread(target=redeem) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["mira", "refused", "refused", "refused"]
