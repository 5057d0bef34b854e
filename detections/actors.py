"""Who acts. Every domain function takes an actor and every state change names it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db.models import Q

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser, User


class NotPermittedError(Exception):
    """The actor lacks a permission; the message names it in words."""


@dataclass(frozen=True, slots=True)
class Actor:
    """A person, a token's owner, or the system with a reason.

    user: the account, None for the system. label: how the journal names the actor. permissions: codenames
    such as `triage.answer_question`; the system has all of them, a superuser none by that alone, so that
    four eyes hold for everybody.
    """

    label: str
    user: "User | None" = None
    permissions: frozenset[str] = frozenset()
    is_system: bool = False

    def can(self, permission: str) -> bool:
        return self.is_system or permission in self.permissions

    def require(self, permission: str, what: str) -> None:
        """Raise NotPermittedError, saying what was refused, unless the actor has the permission."""
        if not self.can(permission):
            raise NotPermittedError(f"{self.label} may not {what}: the permission {permission} is missing.")


def system(reason: str) -> Actor:
    """The product itself; the reason says on what occasion ("scheduled run", "pivot")."""
    return Actor(label=f"System ({reason})", is_system=True)


def of_user(user: "User | AnonymousUser") -> Actor:
    """The actor behind a signed-in account. An inactive or anonymous account has no permissions."""
    from django.contrib.auth.models import Permission

    if user.is_anonymous or not user.is_active:
        return Actor(label="Nobody")
    granted = Permission.objects.filter(Q(user=user) | Q(group__user=user))
    return Actor(
        label=user.get_full_name() or user.get_username(),
        user=user,
        permissions=frozenset(
            f"{app}.{codename}"
            for app, codename in granted.values_list("content_type__app_label", "codename")
        ),
    )
