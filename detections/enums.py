"""The closed vocabularies of detection. No Django model is imported here."""

from django.db.models import TextChoices


class TelemetryKind(TextChoices):
    """What a piece of telemetry speaks of. Not ECS categories: DNS and connections are both `network`."""

    PROCESS = "process"
    CONNECTION = "connection"
    DNS = "dns"
    FILE = "file"
    LIBRARY = "library"
    LOGON = "logon"
    REGISTRY = "registry"
    ALERT = "alert"


class RuleType(TextChoices):
    """The rule types of Elastic's detection engine. Only EQL runs here so far."""

    EQL = "eql"
    QUERY = "query"
    THRESHOLD = "threshold"
    NEW_TERMS = "new_terms"
    ESQL = "esql"
    MACHINE_LEARNING = "machine_learning"
    THREAT_MATCH = "threat_match"
    SAVED_QUERY = "saved_query"


class Severity(TextChoices):
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class RunStatus(TextChoices):
    """How one execution of a rule ended. A cap on cases is no truncation: the run succeeded."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    PARTIAL = "partial"
    TRUNCATED = "truncated"
    FAILED = "failed"


class GapReason(TextChoices):
    """Why a stretch that the cursors have passed was not searched."""

    NEW_RULE = "new_rule"
    RULE_DISABLED = "rule_disabled"
    DID_NOT_RUN = "did_not_run"
    FAILED = "failed"
    PARTIAL = "partial"
    TRUNCATED = "truncated"
    STORE_UNAVAILABLE = "store_unavailable"
    EXPIRED_UNSEARCHED = "expired_unsearched"


class AlertOrigin(TextChoices):
    RUN = "run"
    ELASTIC = "elastic"
    API = "api"


class TimeBasis(TextChoices):
    """Which clock ordered the events of a match."""

    STRICT = "strict", "@timestamp order"
    CLOCK_REPAIRED = "clock_repaired", "event.created order"


class SegmentState(TextChoices):
    ACTIVE = "active"
    RETIRED = "retired"
    UNREADABLE = "unreadable"


class ImportStatus(TextChoices):
    """How an import of capture files ended. `partial`: good records kept, bad ones quarantined."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    PARTIAL = "partial"
    FAILED = "failed"


class OutboxState(TextChoices):
    PENDING = "pending"
    DONE = "done"
    FAILED = "failed"


class RunTrigger(TextChoices):
    """What made a rule run."""

    SCHEDULE = "schedule"
    IMPORT = "import"
    MANUAL = "manual"
    BACK = "back", "back-search"
    TRUE_UP = "true_up", "true-up"


class BackSearchState(TextChoices):
    """How a back-search stands. `cancelled`: a person stopped it; what it had found stays."""

    WAITING = "waiting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    CANCELLED = "cancelled"
    FAILED = "failed"
