"""The admin of rows that nobody edits: facts to read, with nothing hidden in their texts."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import CharField, Model, TextField
from django.http import HttpRequest

from detections.hidden_characters import plain

if TYPE_CHECKING:
    AnyBase = admin.ModelAdmin[Model]
else:
    AnyBase = admin.ModelAdmin


def _show_hidden(row: Model) -> None:
    """Mark hidden characters in the row's texts. It is for reading: nobody saves it."""
    for field in row._meta.concrete_fields:
        value = row.__dict__.get(field.attname)
        if isinstance(field, CharField | TextField) and isinstance(value, str):
            setattr(row, field.attname, plain(value, keep="\n"))


class ReadOnlyChangeList(ChangeList):
    """A list whose rows show what is hidden in them."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        for row in self.result_list:
            _show_hidden(row)


class ReadOnlyAdmin(AnyBase):
    """Rows that change only through the doors that check and journal them."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return ReadOnlyChangeList

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Model | None:
        row = super().get_object(request, object_id, from_field)
        if row is not None:
            _show_hidden(row)
        return row
