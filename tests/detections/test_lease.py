"""Leases: one holder at a time, and a number that tells a stale one."""

import threading
from datetime import timedelta

import pytest
import time_machine
from django.db import connection
from django.utils import timezone

from detections import lease


def later(**span):
    return time_machine.travel(timezone.now() + timedelta(**span), tick=False)


def test_a_lease_has_one_holder(db):
    with lease.hold("wake") as held:
        assert (held.fence, lease.claim("wake")) == (1, None)
    assert lease.claim("wake").fence == 2


def test_a_lease_of_a_dead_holder_expires_and_the_fence_grows(db):
    dead = lease.claim("wake")
    with later(seconds=31):
        heir = lease.claim("wake")
        assert heir.fence == dead.fence + 1
        assert (lease.renew(dead), lease.renew(heir)) == (False, True)


def test_releasing_a_lost_lease_takes_it_from_nobody(db):
    dead = lease.claim("wake")
    with later(seconds=31):
        lease.claim("wake")
        lease.release(dead)
        assert lease.claim("wake") is None


def test_leases_of_other_names_are_free(db):
    lease.claim("wake")
    assert lease.claim("sweep").name == "sweep"


@pytest.mark.django_db(transaction=True)
def test_of_two_threads_one_gets_the_lease():
    got = []
    start = threading.Barrier(4)

    def race():
        start.wait()
        got.append(lease.claim("wake"))
        connection.close()

    threads = [threading.Thread(target=race) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(held is None for held in got) == [False, True, True, True]


@pytest.mark.django_db(transaction=True)
def test_a_held_lease_is_renewed():
    with lease.hold("wake", term=timedelta(seconds=0.6)) as held:
        threading.Event().wait(1.0)
        assert lease.claim("wake") is None
        assert lease.renew(held) is True
