"""Lists are made from what the actor may see, in pages, tasks, counts and exports alike."""

from typing import Any, Self, TypeVar

from django.db import models

from detections.actors import Actor

M = TypeVar("M", bound=models.Model)


class VisibleQuerySet(models.QuerySet[M]):
    """A queryset that narrows itself to what an actor may see."""

    def visible_to(self, actor: Actor) -> Self:
        """All rows with the model's view permission, none without."""
        options = self.model._meta
        permission = f"{options.app_label}.view_{options.model_name}"
        return self if actor.can(permission) else self.none()


VisibleManager: Any = models.Manager.from_queryset(VisibleQuerySet)
