"""The shapes of what people send. Domain functions decide; forms only read."""

import re
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib.auth import password_validation
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.utils import timezone

from detections.hidden_characters import plain
from triage.enums import ConfirmationKind, Disposition, QuestionState
from triage.models import Attachment, Case


class FirstAdminForm(forms.Form):
    username = forms.CharField(
        max_length=150, label="User name", validators=[*User._meta.get_field("username").validators]
    )
    full_name = forms.CharField(max_length=150, label="Full name")
    password = forms.CharField(widget=forms.PasswordInput, label="Password", strip=False)
    repeated = forms.CharField(widget=forms.PasswordInput, label="Password again", strip=False)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if cleaned.get("password") and cleaned.get("password") != cleaned.get("repeated"):
            self.add_error("repeated", "The two passwords differ. Type the same one twice.")
        elif cleaned.get("password"):
            first, _, last = cleaned.get("full_name", "").partition(" ")
            person = User(username=cleaned.get("username", ""), first_name=first, last_name=last)
            try:
                password_validation.validate_password(cleaned["password"], person)
            except ValidationError as faults:
                self.add_error("password", faults)
        return cleaned


class AnswerForm(forms.Form):
    """An answer as typed. Nothing is required here: what is missing, the domain says in sentences."""

    version = forms.IntegerField(min_value=1)
    state = forms.ChoiceField(
        choices=[choice for choice in QuestionState.choices if choice[0] != QuestionState.OPEN],
        error_messages={"required": "Choose which way the evidence points."},
    )
    rationale = forms.CharField(required=False, max_length=20_000, strip=True)


class DraftForm(forms.Form):
    """A half-typed answer: all of it may be missing."""

    version = forms.IntegerField(min_value=1)
    state = forms.CharField(required=False, max_length=20)
    rationale = forms.CharField(required=False, max_length=20_000, strip=False)


def chosen_ids(data: Any, name: str) -> list[int]:
    """The ids of ticked boxes; what is no number, or longer than any id, is left out."""
    return [int(value) for value in data.getlist(name) if re.fullmatch(r"[0-9]{1,18}", value)]


FIELD_PREFIX = "field:"
# More than a question can have: what a browser sends beyond is not from our form.
MOST_FIELDS = 50


def typed_fields(data: Any) -> dict[str, str]:
    """What was typed into the labelled fields of an answer, as it stands there; empty ones are left out."""
    named = [name for name in data if name.startswith(FIELD_PREFIX)][:MOST_FIELDS]
    found = {name.removeprefix(FIELD_PREFIX): str(data[name])[:2000] for name in named}
    return {name: value for name, value in found.items() if value.strip()}


class UtcDateTimeField(forms.DateTimeField):
    """A browser's `datetime-local`, read as UTC."""

    widget = forms.DateTimeInput(attrs={"type": "datetime-local"})


if TYPE_CHECKING:
    FileChoices = forms.ModelChoiceField[Attachment]
else:
    FileChoices = forms.ModelChoiceField


class FileChoiceField(FileChoices):
    """One of a case's files, by its name with nothing hidden in it."""

    def label_from_instance(self, obj: Any) -> str:
        return plain(obj.name)


class ConfirmationForm(forms.Form):
    """A confirmation record."""

    # It stands folded inside the answer's form: a browser refuses to send that with an empty required field
    # which it can't show. The server says what is missing.
    use_required_attribute = False

    kind = forms.ChoiceField(choices=ConfirmationKind.choices, label="What it is")
    reference = forms.CharField(max_length=255, label="Reference")
    confirmed_by = forms.CharField(max_length=255, label="Confirmed by")
    confirmed_at = UtcDateTimeField(label="When, UTC")
    statement = forms.CharField(max_length=4000, label="What exactly was confirmed")
    attachment = FileChoiceField(
        Attachment.objects.none(), required=False, label="File of the case", empty_label="None"
    )

    def __init__(self, *args: Any, case: Case, **more: Any) -> None:
        super().__init__(*args, **more)
        choice = self.fields["attachment"]
        assert isinstance(choice, FileChoiceField)
        choice.queryset = case.attachments.standing()

    def clean_confirmed_at(self) -> Any:
        moment = self.cleaned_data["confirmed_at"]
        if moment > timezone.now():
            raise ValidationError("That lies in the future. Say when it was confirmed, in UTC.")
        return moment


class BackSearchForm(forms.Form):
    """The stretch of a search of the past."""

    start = UtcDateTimeField(label="From")
    end = UtcDateTimeField(label="To")


def case_number(text: str) -> int | None:
    """The number in `CW-12` or `12`, as people write a case; None where it is neither."""
    found = re.fullmatch(r"(?:CW-)?([0-9]{1,18})", text.strip().upper())
    return int(found[1]) if found else None


class CloseForm(forms.Form):
    version = forms.IntegerField(min_value=1)
    disposition = forms.ChoiceField(
        choices=[choice for choice in Disposition.choices if choice[0] != Disposition.UNDETERMINED],
        error_messages={"required": "Choose a disposition."},
    )
    rationale = forms.CharField(required=False, max_length=20_000)
    duplicate_of = forms.CharField(required=False, max_length=20)
    escalated_to = forms.CharField(required=False, max_length=255)
    preserved = forms.CharField(required=False, max_length=4000)
    override = forms.CharField(required=False, max_length=4000)

    def clean_duplicate_of(self) -> int | None:
        """`CW-12` or `12`, as people write a case."""
        text = self.cleaned_data["duplicate_of"]
        if not text.strip():
            return None
        number = case_number(text)
        if number is None:
            raise ValidationError("Write the case's number, such as CW-12.")
        return number


class TaskForm(forms.Form):
    """A task on a case. Without an owner it is anybody's."""

    title = forms.CharField(max_length=255, error_messages={"required": "Say what has to be done."})
    owner = forms.ModelChoiceField(User.objects.filter(is_active=True).order_by("username"), required=False)
    due_at = UtcDateTimeField(required=False)


class HardeningForm(TaskForm):
    """A task that hardens: it needs an owner and a date. key: the guide's proposal, "" for another."""

    key = forms.CharField(required=False, max_length=100)


class AssignForm(forms.Form):
    version = forms.IntegerField(min_value=1)
    to = forms.ModelChoiceField(User.objects.filter(is_active=True).order_by("username"), required=False)


class SeveralFiles(forms.ClearableFileInput):
    allow_multiple_selected = True


class UploadField(forms.FileField):
    """Several files at once."""

    widget = SeveralFiles

    def clean(self, data: Any, initial: Any = None) -> Any:
        files = data if isinstance(data, list | tuple) and data else [None]
        return [super(UploadField, self).clean(file, initial) for file in files]


class ImportForm(forms.Form):
    # An empty file goes to quarantine by its name, as any other that can't be read; the others are imported.
    captures = UploadField(allow_empty_file=True, error_messages={"required": "Choose at least one file."})
    retime = forms.BooleanField(required=False)


class RuleImportForm(forms.Form):
    rules = UploadField(error_messages={"required": "Choose at least one file.", "empty": "A file is empty."})


class ExceptionImportForm(forms.Form):
    lists = UploadField(error_messages={"required": "Choose at least one file.", "empty": "A file is empty."})
    rule = forms.CharField(required=False)
