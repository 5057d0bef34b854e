"""Whether what hides alerts was approved before it did, by another person, and stands as it was approved."""

from collections.abc import Iterator
from datetime import datetime

from triage.exception_items import content_of
from triage.models import ExceptionVersion, Suppression


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
