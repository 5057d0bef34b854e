"""One-time sign-ins: a link that signs one account in, once, within half a day."""

import hashlib
import secrets
from datetime import timedelta

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from detections import actors, journal
from detections.actors import Actor, NotPermittedError
from triage.errors import TriageError
from triage.models import OneTimeSignIn

LIFETIME = timedelta(hours=12)
STREAM = "access"
REMEDY = "Make a new one on the machine that runs Casewright: manage.py sign_in_link NAME."


def issue(user: User, *, actor: Actor) -> str:
    """A token that signs `user` in once. Only its SHA-256 is stored.

    Only the system may, on behalf of whoever has the machine: a person who could sign in as another would be
    both pairs of the four eyes. Raises NotPermittedError for a person, TriageError for a disabled account.
    """
    if not actor.is_system:
        raise NotPermittedError(f"{actor.label} may not make a sign-in link for an account. {REMEDY}")
    if not user.is_active:
        raise TriageError(f"The account {user.get_username()} is disabled. Enable it in the admin first.")
    token = secrets.token_urlsafe(32)
    with transaction.atomic():
        OneTimeSignIn.objects.create(
            user=user, token_sha256=_digest(token), expires_at=timezone.now() + LIFETIME
        )
        journal.record(STREAM, "sign_in_link_issued", actor=actor, data={"user": user.get_username()})
    return token


def redeem(token: str) -> User:
    """The account that the token is for; the token is used up by it.

    Of two requests with the same token, however close, one gets the account. Raises TriageError, with what
    to do, for a token that is unknown, used or expired, or whose account is disabled.
    """
    now = timezone.now()
    with transaction.atomic():
        row = OneTimeSignIn.objects.select_related("user").filter(token_sha256=_digest(token)).first()
        if row is None:
            raise TriageError(f"This sign-in link is not known here. Check that it is complete. {REMEDY}")
        if row.expires_at <= now:
            raise TriageError(f"This sign-in link has expired. {REMEDY}")
        if not row.user.is_active:
            raise TriageError("The account of this sign-in link is disabled. Ask an admin to enable it.")
        if OneTimeSignIn.objects.filter(pk=row.pk, used_at__isnull=True).update(used_at=now) != 1:
            raise TriageError(f"This sign-in link was used before; each works once. {REMEDY}")
        journal.record(STREAM, "signed_in_by_link", actor=actors.of_user(row.user))
    return row.user


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
