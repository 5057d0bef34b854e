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


class PivotOrigin(TextChoices):
    """Who asked: the guide, or a person, from a value or in words of their own."""

    GUIDE = "guide"
    FOLLOW_UP = "follow_up"
    OWN = "own"


class PivotScope(TextChoices):
    """Which hosts a pivot speaks of."""

    WRITTEN = "written", "as the guide asks"
    HOST = "host", "this host"
    OTHERS = "others", "other hosts"
    ALL = "all", "all hosts"


class LookUpKind(TextChoices):
    RARITY = "rarity"
    COMPARISON = "comparison"


class LookUpState(TextChoices):
    WAITING = "waiting"
    DONE = "done"
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
    """States of an exception version, and of a value list's."""

    DRAFT = "draft"
    PROPOSED = "proposed"
    APPROVED = "approved"
    ACTIVE = "active"
    EXPIRED = "expired"
    REVOKED = "revoked"
    SUPERSEDED = "superseded"
    DECLINED = "declined"


class ExceptionOrigin(TextChoices):
    """Where an item comes from. Kibana's hides an alert if one event satisfies all its entries."""

    NATIVE = "native"
    KIBANA = "kibana"


class ExceptionScope(TextChoices):
    """Which events an entry speaks of: the alert's own, or recovered ones of the same process."""

    EVENT = "event", "an event of the alert"
    PROCESS = "process", "the alert's process event"
    NETWORK = "network", "the alert's network event"
    DNS = "dns", "DNS lookup"
    FILE = "file", "file event"
    LIBRARY = "library", "loaded library"
    CHILD = "child", "child process"
    CONNECTION = "connection", "connection"
    LOGON = "logon", "logon of the session"


class ExceptionQuantity(TextChoices):
    """How many of the scope's events an entry asks for."""

    SOME = "some", "at least one"
    NONE = "none", "none"
    EVERY = "every", "each"


class ExceptionOperator(TextChoices):
    IS = "is", "is"
    IS_ONE_OF = "is_one_of", "is one of"
    MATCHES = "matches", "matches (wildcard)"
    CIDR = "cidr", "is in network"
    EXISTS = "exists", "exists"
    IN_LIST = "in_list", "is in list"
    NESTED = "nested", "has an element with"


class ValueListType(TextChoices):
    IP = "ip"
    CIDR = "cidr"
    DOMAIN = "domain"
    HASH = "hash"
    KEYWORD = "keyword"


# What people read of it.
VALUE_LIST_HOLDS = {
    ValueListType.IP: "addresses",
    ValueListType.CIDR: "networks",
    ValueListType.DOMAIN: "domain names",
    ValueListType.HASH: "hashes",
    ValueListType.KEYWORD: "other texts",
}


class BackTestKind(TextChoices):
    """What a back-test runs over: stored alerts, or the telemetry that the rule would search."""

    ALERTS = "alerts"
    TELEMETRY = "telemetry"


class BackTestState(TextChoices):
    WAITING = "waiting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class ProposalState(TextChoices):
    """States of a guide overlay that somebody wrote. `approved` is in force; a rule has one at most."""

    DRAFT = "draft"
    PROPOSED = "proposed"
    APPROVED = "approved"
    DECLINED = "declined"
    SUPERSEDED = "superseded"


class ActionState(TextChoices):
    """States of a response action. `unknown`: it may have been done, and the target is asked."""

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


class CheckOutcome(TextChoices):
    """What one look at the effect of an action saw."""

    HOLDING = "holding"
    BROKEN = "broken"
    UNKNOWN = "unknown", "could not be checked"


class ScopeRunState(TextChoices):
    """States of a search for a case's indicators on all hosts."""

    WAITING = "waiting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    PARTIAL = "partial"
    FAILED = "failed"


class ScopeColumnState(TextChoices):
    """What came of one indicator. `partial`: not everything could be read, so silence means nothing."""

    WAITING = "waiting"
    DONE = "done"
    PARTIAL = "partial"
    BLOCKED = "blocked"
    FAILED = "failed"


class ScopeCellState(TextChoices):
    """One host against one indicator. `no_hits` is only said of a host that sends the telemetry."""

    HITS = "hits"
    NO_HITS = "no_hits"
    NO_TELEMETRY = "no_telemetry"
    PARTIAL = "partial"
    BLOCKED = "blocked"
    FAILED = "failed"
    RUNNING = "running"


class PackState(TextChoices):
    """States of a case pack. `collecting`: pivots that it asked for still run."""

    WAITING = "waiting"
    COLLECTING = "collecting"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
