"""Which alarm states stand now. Reads only; who is told, and how, is decided elsewhere."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Max
from django.utils import timezone

from detections import canary, health, invariants, silence
from detections.actors import system
from detections.enums import OutboxState, RunStatus, SegmentState
from detections.models import OutboxRow, QuarantinedRecord, Rule, Segment
from detections.outside_alerts import status as outside_status

# More of one kind than this are told as one: nobody reads six hundred lines.
MOST_OF_A_KIND = 10
NAMED = 5
QUARANTINE_NEWS = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Alarm:
    """One state that needs a person. key: the same as long as it is the same state."""

    key: str
    kind: str
    title: str
    detail: str = ""


Find = Callable[[datetime], Iterable[Alarm]]


@dataclass(frozen=True, slots=True)
class _Contributor:
    named: tuple[str, str]
    find: Find


_contributors: dict[str, _Contributor] = {}


def current(*, now: datetime | None = None) -> list[Alarm]:
    """Everything that stands now, at most a few of each kind."""
    now = now or timezone.now()
    return [
        *_processes(now),
        *_together("rule_behind", "rules are behind their schedule", list(_behind(now))),
        *_together("run_failed", "rules failed in their last run", list(_runs())),
        *_together("outbox_failed", "kinds of work were given up", list(_outbox())),
        *_together("segment_unreadable", "segments are unreadable", list(_segments())),
        *_together("quarantine_grew", "imports had records that can't be used", list(_quarantine(now))),
        *_together("source_silent", "sources fell silent", list(_silent(now))),
        *_canary(now),
        *_outside(now),
        *_invariants(),
        *(alarm for one in _contributors.values() for alarm in _together(*one.named, list(one.find(now)))),
    ]


def contribute(kind: str, words: str) -> Callable[[Find], Find]:
    """Register a function that finds states of one kind, for parts that are not known here.

    words: what many of them are called ("exceptions changed"). It reads only; its keys begin with the kind.
    """

    def register(find: Find) -> Find:
        if _contributors.setdefault(kind, _Contributor((kind, words), find)).find is not find:
            raise ValueError(f"Two functions find alarms of kind {kind}.")
        return find

    return register


def _together(kind: str, words: str, alarms: Sequence[Alarm]) -> list[Alarm]:
    if len(alarms) <= MOST_OF_A_KIND:
        return list(alarms)
    named = "\n".join(alarm.title for alarm in alarms[:NAMED])
    more = f"{named}\nand {len(alarms) - NAMED} more"
    return [Alarm(f"{kind}:many", kind, f"{len(alarms)} {words}", more)]


def _processes(now: datetime) -> Iterator[Alarm]:
    for sign in health.signs(now=now):
        if sign.is_missed:
            seen = f"{sign.seen_at:%Y-%m-%d %H:%M:%S} UTC" if sign.seen_at else "never"
            detail = f"Last seen: {seen}. Is manage.py up running? Nothing is searched without it."
            yield Alarm(f"no_sign:{sign.name}", "no_sign", f"No sign of life from {sign.name}", detail)


def _behind(now: datetime) -> Iterator[Alarm]:
    for rule in Rule.objects.runnable().filter(is_canary=False):
        if health.is_behind(rule, now) and not _is_fresh(rule, now):
            until = f"{rule.covered_until:%Y-%m-%d %H:%M:%S} UTC" if rule.covered_until else "never"
            detail = f"Searched up to: {until}. It runs every {rule.interval_seconds} s."
            yield Alarm(f"rule_behind:{rule.pk}", "rule_behind", f"Behind its schedule: {rule.name}", detail)


def _is_fresh(rule: Rule, now: datetime) -> bool:
    """A rule that was just enabled has a look-back before it and no run behind it: not an alarm yet."""
    if rule.last_run_at is not None or rule.due_since is None:
        return False
    return now - rule.due_since <= health.allowance(rule)


def _runs() -> Iterator[Alarm]:
    rules = list(Rule.objects.runnable())
    for run in health.newest_runs(rules, system("alarms")):
        if run.status != RunStatus.SUCCEEDED:
            title = f"Last run {run.status}: {run.rule.name}"
            yield Alarm(f"run_failed:{run.rule_id}", "run_failed", title, run.error)


def _outbox() -> Iterator[Alarm]:
    failed = OutboxRow.objects.filter(state=OutboxState.FAILED).order_by()
    for kind, number, newest in failed.values_list("kind").annotate(n=Count("pk"), newest=Max("pk")):
        error = OutboxRow.objects.values_list("error", flat=True).get(pk=newest)
        words = "piece" if number == 1 else "pieces"
        yield Alarm(
            f"outbox_failed:{kind}", "outbox_failed", f"Given up: {number} {words} of work, {kind}", error
        )


def _segments() -> Iterator[Alarm]:
    for segment in Segment.objects.filter(state=SegmentState.UNREADABLE):
        detail = f"{segment.last_error} Rules pass it, and list its {segment.rows} events as a gap."
        title = f"Unreadable: {segment.path}"
        yield Alarm(f"segment_unreadable:{segment.pk}", "segment_unreadable", title, detail)


def _quarantine(now: datetime) -> Iterator[Alarm]:
    fresh = QuarantinedRecord.objects.filter(created_at__gte=now - QUARANTINE_NEWS).order_by("capture")
    for capture, number in fresh.values_list("capture").annotate(n=Count("pk")):
        words = "record" if number == 1 else "records"
        detail = "The good ones are kept. Admins read the others, with the reason, under Imports."
        title = f"Import {capture}: {number} {words} can't be used"
        yield Alarm(f"quarantine_grew:{capture}", "quarantine_grew", title, detail)


def _silent(now: datetime) -> Iterator[Alarm]:
    for source in silence.report(actor=system("alarms"), now=now).sources:
        named = ", ".join(host for host in source.hosts[:NAMED] if host)
        more = f" and {len(source.hosts) - NAMED} more" if len(source.hosts) > NAMED else ""
        detail = f"Last event: {source.last:%Y-%m-%d %H:%M:%S} UTC. Hosts: {named or 'none named'}{more}."
        # Which hosts and how many of them changes while it is the same trouble: not in the key.
        key = f"source_silent:{source.dataset}"
        yield Alarm(key, "source_silent", f"Silent source: {source.name}, {source.affects}", detail)


def _canary(now: datetime) -> Iterator[Alarm]:
    if reason := canary.missing(now=now):
        yield Alarm("canary_missing", "canary_missing", "The canary is missing", reason)


def _outside(now: datetime) -> Iterator[Alarm]:
    found = outside_status.status(now=now)
    if found is not None and (problems := list(found.problems())):
        title = "Alerts of Elastic Security are not read in full"
        yield Alarm("outside_alerts", "outside_alerts", title, "\n".join(problems))


def _invariants() -> Iterator[Alarm]:
    if broken := invariants.newest_broken():
        title = f"Invariants are violated: {', '.join(broken)}"
        yield Alarm("invariants", "invariants", title, "Run manage.py check_invariants for what exactly.")
