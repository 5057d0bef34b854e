"""Whether what hides alerts was approved before it did, by another person, and stands as it was approved."""

from collections.abc import Iterator
from datetime import datetime

from django.db.models import Count, F, Q

from triage.enums import ExceptionState
from triage.exception_items.content import content_of
from triage.models import ExceptionVersion, Suppression, ValueListVersion


def faults() -> Iterator[str]:
    """A sentence for each hidden alert that should not be. Reads only."""
    rows = Suppression.objects.select_related("alert", "version__item", "version__rule_version__rule")
    known: dict[int, str] = {}
    for row in rows.order_by("pk").iterator(chunk_size=500):
        version = row.version
        if version.pk not in known:
            known[version.pk] = _unapproved(version)
        if known[version.pk]:
            yield f"Alert {row.alert_id} is hidden by {version.label}: {known[version.pk]}"
        elif version.active_from is None or row.at < version.active_from or _is_after(row.at, version):
            yield f"Alert {row.alert_id} was hidden by {version.label} outside of its active time."
        elif row.alert.rule_id != version.item.rule_id:
            yield f"Alert {row.alert_id} is hidden by {version.label}, an exception of another rule."


def standing_faults() -> Iterator[str]:
    """A sentence for each exception or value list in force that is not what another person approved."""
    for version in ExceptionVersion.objects.active().select_related("item", "rule_version__rule"):
        if says := _unapproved(version):
            yield f"{version.label} is in force, and {says}"
    lists = ValueListVersion.objects.filter(state=ExceptionState.ACTIVE).select_related("value_list")
    for row in lists.iterator(chunk_size=50):
        if row.approved_by_id is None or row.approved_by_id in (row.requested_by_id, row.last_edited_by_id):
            yield f"The value list {row} is in force, and no other person approved it."
        elif row.sha256_of_content() != row.approved_sha256:
            yield f"The value list {row} is in force, and its values are not what was approved."


def miscounted() -> Iterator[str]:
    """A sentence for each version that does not count what it hid."""
    there = Count("suppressions", filter=Q(suppressions__is_retroactive=False))
    rows = ExceptionVersion.objects.order_by().annotate(there=there).exclude(there=F("hits"))
    for version in rows.select_related("item"):
        yield f"{version.label} counts {version.hits} hits, and hid another number of alerts."


def _unapproved(version: ExceptionVersion) -> str:
    """Why a version's approval does not stand, or ""."""
    if version.approved_by_id is None or version.approved_at is None:
        return "nobody approved it."
    if version.approved_by_id in (version.requested_by_id, version.last_edited_by_id):
        return "who approved it asked for it, or edited it."
    try:
        sha256 = content_of(version).sha256
    except ValueError as error:
        return str(error)
    return "" if sha256 == version.approved_sha256 else "its content is not what was approved."


def _is_after(at: datetime, version: ExceptionVersion) -> bool:
    ends = [end for end in (version.expires_at, version.ended_at) if end is not None]
    return not ends or at >= min(ends)
