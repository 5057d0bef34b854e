"""Links by which an owner outside confirms something: signed by chance alone, for one use, for a time."""

import hashlib
import secrets
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from detections.actors import Actor
from triage import cases, confirmations
from triage.enums import ConfirmationKind
from triage.errors import TriageError
from triage.models import ReplyLink, ResponseAction
from triage.response import results as response_results

LASTS = timedelta(days=3)
MOST_WORDS = 4000


def make(action_id: int, *, sent_to: str) -> str:
    """A token for the action's question. A later one for the same action takes the place of the former."""
    action = ResponseAction.objects.get(pk=action_id)
    token = secrets.token_urlsafe(32)
    kind = str(action.parameters.get("confirmation", ConfirmationKind.OWNER))
    ReplyLink.objects.update_or_create(
        action=action,
        defaults={
            "token_sha256": _digest(token),
            "kind": kind if kind in ConfirmationKind.values else ConfirmationKind.OWNER,
            "sent_to": sent_to[:255],
            "question": str(action.parameters.get("question", "")),
            "expires_at": timezone.now() + LASTS,
        },
    )
    return token


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def text_of(action_id: int, token: str) -> str:
    """The message, with the link."""
    action = ResponseAction.objects.select_related("case", "requested_by").get(pk=action_id)
    asker = (
        action.requested_by.get_full_name() or action.requested_by.get_username()
        if action.requested_by
        else ""
    )
    return (
        f"{asker} asks about {action.case.number}:\n\n{action.parameters.get('question', '')}\n\n"
        f"Please answer here, once, within three days:\n{settings.PUBLIC_URL}/reply/{token}/\n\n"
        "If you do not expect this message, answer nothing and tell your security team.\n"
    )


def of_token(token: str) -> ReplyLink:
    """The link that stands. Raises TriageError for one that is unknown, used or over."""
    found = ReplyLink.objects.select_related("action__case").filter(token_sha256=_digest(token)).first()
    if found is None:
        raise TriageError("This link is not known here. Use the newest message's.")
    _check(found)
    return found


def _check(link: ReplyLink) -> None:
    if link.used_at is not None:
        raise TriageError("This link was used; each takes one answer. Ask for another one to say more.")
    if link.expires_at <= timezone.now():
        raise TriageError("This link has expired. Ask who sent it for a new one.")


def answer(token: str, *, confirms: bool, name: str, statement: str) -> ReplyLink:
    """Take the answer: what is confirmed becomes a confirmation of the case, what is denied a fact of the
    action. Raises TriageError; nothing is stored then."""

    lacking = [] if name.strip() else ["Say who you are."]
    lacking += [] if statement.strip() else ["Say in a sentence what you confirm, or what you know."]
    if lacking:
        raise TriageError(" ".join(lacking))
    seen = of_token(token)
    with transaction.atomic():
        cases.locked(seen.action.case_id)
        link = ReplyLink.objects.select_for_update().get(pk=seen.pk)
        _check(link)
        action = ResponseAction.objects.select_related("case", "requested_by").get(pk=link.action_id)
        link.used_at, link.confirms, link.statement = timezone.now(), confirms, statement.strip()[:MOST_WORDS]
        if confirms and action.case.is_open:
            link.confirmation = confirmations.add_confirmation(
                action.case,
                kind=link.kind,
                reference=f"{action.number}, reply of {link.sent_to}"[:255],
                confirmed_by=name.strip()[:255],
                confirmed_at=link.used_at,
                statement=link.statement,
                actor=_replier(action, link),
            )
        link.save()
        response_results.replied(action, link, name=name.strip()[:255])
    return link


def _replier(action: ResponseAction, link: ReplyLink) -> Actor:
    """Who asked records it, for the one who replied; the journal names the reply."""
    label = f"Reply of {link.sent_to} ({action.number})"
    return Actor(
        label=label[:200], user=action.requested_by, permissions=frozenset(("triage.answer_question",))
    )
