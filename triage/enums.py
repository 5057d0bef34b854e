"""The closed vocabularies of triage. No Django model is imported here."""

from django.db.models import TextChoices


class CaseStatus(TextChoices):
    OPEN = "open"
    IN_PROGRESS = "in_progress"
    CLOSED = "closed"


class Disposition(TextChoices):
    """The conclusion, apart from the status."""

    UNDETERMINED = "undetermined"
    MALICIOUS = "malicious"
    SUSPICIOUS = "suspicious"
    BENIGN = "benign"
    FALSE_POSITIVE = "false_positive"
    DUPLICATE = "duplicate"


class QuestionState(TextChoices):
    OPEN = "open"
    ESCALATE = "escalate"
    LOWER = "lower"
    UNRESOLVED = "unresolved"
    NOT_APPLICABLE = "not_applicable"


class PivotState(TextChoices):
    """What came of a pivot. `no_hits` is only said where the telemetry exists."""

    NOT_RUN = "not_run"
    RUNNING = "running"
    HITS = "hits"
    NO_HITS = "no_hits"
    NO_TELEMETRY = "no_telemetry"
    PARTIAL = "partial"
    BLOCKED = "blocked"
    FAILED = "failed"


class CheckState(TextChoices):
    FIRED = "fired"
    QUIET = "quiet"
    UNKNOWN = "unknown", "could not be checked"


class Points(TextChoices):
    """Which way a check or an answer points."""

    ESCALATE = "escalate"
    LOWER = "lower"


class ConfirmationKind(TextChoices):
    """What a person can bring that telemetry can't."""

    OWNER = "owner", "owner confirmation"
    CHANGE = "change", "change record"
    DISTRIBUTION = "distribution", "distribution record"
    ASSET = "asset", "asset record"


class CaseLinkKind(TextChoices):
    DUPLICATE_OF = "duplicate_of"
    FOLLOWS = "follows", "follows a closed case"
    RELATED = "related"


class ObservableType(TextChoices):
    IP = "ip"
    DOMAIN = "domain"
    HASH = "hash"
    USER = "user"
    HOST = "host"
    PROCESS = "process"
    URL = "url"


class ExceptionState(TextChoices):
    """States of an exception version (reserved for the exception tables)."""

    DRAFT = "draft"
    PROPOSED = "proposed"
    APPROVED = "approved"
    ACTIVE = "active"
    EXPIRED = "expired"
    REVOKED = "revoked"
    SUPERSEDED = "superseded"
    DECLINED = "declined"


class ProposalState(TextChoices):
    """States of a guide overlay that somebody wrote. `approved` is the one in force; a rule has one at most."""

    DRAFT = "draft"
    PROPOSED = "proposed"
    APPROVED = "approved"
    DECLINED = "declined"
    SUPERSEDED = "superseded"


class ActionState(TextChoices):
    """States of a response action (reserved for the response tables)."""

    REQUESTED = "requested"
    APPROVED = "approved"
    DECLINED = "declined"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    UNKNOWN = "unknown"
    UNDONE = "undone"
