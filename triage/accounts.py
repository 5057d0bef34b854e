"""The first account. Further ones are made in the admin."""

from django.contrib.auth.models import Group, User
from django.db import transaction

from detections import actors, journal
from triage.errors import TriageError

STREAM = "access"


def is_first_run() -> bool:
    """Nobody has an account yet."""
    return not User.objects.exists()


def create_first_admin(*, username: str, full_name: str, password: str) -> User:
    """The account that the first-run page makes: group Admin, may use the admin pages.

    Of two requests, however close, one makes the account. Raises TriageError once any account exists: the
    page is open to whoever reaches the address only as long as there is nobody to protect.
    """
    with transaction.atomic():
        group = Group.objects.select_for_update().get(name="Admin")
        if not is_first_run():
            raise TriageError("There is an account already. Sign in, or ask an admin for an account.")
        first, _, last = full_name.strip().partition(" ")
        user = User.objects.create_user(
            username, password=password, first_name=first[:150], last_name=last[:150], is_staff=True
        )
        user.groups.add(group)
        journal.record(STREAM, "first_admin_created", actor=actors.of_user(user), after=username)
    return user
