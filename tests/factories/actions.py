"""Response actions on cases made row by row, and a target whose every answer a test chooses."""

from django.utils import timezone

from detections import outbox
from detections.actors import of_user
from tests.conftest import person
from triage.actions.adapter import _adapters
from triage.actions.outcomes import Outcome, Proof, Result
from triage.enums import CheckOutcome, ObservableType
from triage.models import (
    ActionKind,
    Asset,
    Case,
    CasePack,
    Connector,
    Observable,
    ResponseAction,
    ScopeRun,
)
from triage.response import actions as response_actions
from triage.response.actions import Wish

WHY = "The checks point at it."


class Scripted:
    """A target that does what it is told, or what a test says. `done` lists the keys that it carried out."""

    label, fields, secrets, kinds = "Scripted", {}, {}, frozenset()
    done: list[str] = []
    sent: list[str] = []
    asked: list[str] = []
    before_send = after_send = None
    answers: list[Outcome] = []
    proof = Proof(CheckOutcome.HOLDING, "It holds.")

    def __init__(self, config, secrets):
        pass

    def send(self, order):
        type(self).sent.append(order.key)
        if type(self).before_send:
            type(self).before_send()
        if self.answers:
            outcome = self.answers.pop(0)
            if outcome.result in (Result.DONE, Result.STARTED, Result.WAITS):
                type(self).done.append(order.key)
            return outcome
        type(self).done.append(order.key)
        if type(self).after_send:
            type(self).after_send()
        return Outcome(Result.DONE, "Done.")

    def look_up(self, order):
        type(self).asked.append(order.key)
        if order.key in self.done:
            return Outcome(Result.DONE, "It was done.")
        return Outcome(Result.NOT_TAKEN, "No such order.")

    def prove(self, order):
        return self.proof

    def test(self):
        return Outcome(Result.DONE, "Well.")


def scripted(kind: str = "block_destination", **columns) -> type[Scripted]:
    """A fresh target, connected to actions of the kind."""
    made = type("Fresh", (Scripted,), {"done": [], "sent": [], "asked": [], "answers": []})
    _adapters["scripted"] = made
    connector, _new = Connector.objects.get_or_create(
        key="scripted", defaults={"name": "Scripted", "adapter": "scripted", "enabled": True, **columns}
    )
    for key in (kind, f"un{kind}", "unblock_destination", "release_host"):
        ActionKind.objects.filter(key=key).update(connector=connector)
    return made


def observable(
    case: Case, value: str = "203.0.113.57", kind: str = ObservableType.IP, **columns
) -> Observable:
    now = timezone.now()
    row, _new = Observable.objects.get_or_create(
        case=case,
        type=kind,
        digest=f"{kind}:{value}"[:64],
        defaults={
            "value": value.lower(),
            "spelling": value,
            "first_seen_at": now,
            "last_seen_at": now,
            "event_count": 1,
            **columns,
        },
    )
    return row


def preserved(case: Case) -> CasePack:
    """A pack of the case as it stands now, as far as preconditions ask: its bytes are nowhere."""
    return CasePack.objects.create(
        case=case,
        number=case.packs.count() + 1,
        state="succeeded",
        asked_at=timezone.now(),
        finished_at=timezone.now(),
        sha256="5a" * 32,
        kept=[{"key": "dns", "label": "DNS lookups", "state": "kept", "text": "3 events of 1 pivot"}],
    )


def scoped(case: Case, state: str = "succeeded", **columns) -> ScopeRun:
    """A search of other hosts, as far as preconditions ask."""
    now = timezone.now()
    return ScopeRun.objects.create(
        case=case,
        number=case.scope_runs.count() + 1,
        state=state,
        window_start=now,
        window_end=now,
        asked_at=now,
        finished_at=None if state in ("waiting", "running") else now,
        **columns,
    )


def permitted(case: Case, *, allowed: bool = True) -> Asset:
    return Asset.objects.create(
        host_name=case.host_name, host_id=case.host_id, role="workstation", isolation_permitted=allowed
    )


def requested(case: Case, actor, kind: str = "block_destination", **wish) -> ResponseAction:
    """A request to block the destination, the evidence preserved."""
    preserved(case)
    target = wish.pop("target", None) or str(observable(case).pk)
    return response_actions.request(case, Wish(kind, WHY, target=target, **wish), actor=actor)


def approved(case: Case, actor, lead, kind: str = "block_destination", **wish) -> ResponseAction:
    action = requested(case, actor, kind, **wish)
    return response_actions.approve(action, actor=lead, seen_sha256=action.content_sha256)


def leads(count: int):
    return [of_user(person(f"lead{number}", "Lead")) for number in range(count)]


def connect(kind, adapter, config, secrets=None, **columns):
    made = Connector.objects.create(
        key=adapter,
        name=adapter.title(),
        adapter=adapter,
        config=config,
        secrets=secrets or {},
        enabled=True,
        **columns,
    )
    ActionKind.objects.filter(key__in=[kind] if isinstance(kind, str) else kind).update(connector=made)
    return made


def done(action: ResponseAction) -> tuple[str, str]:
    """Deliver what is due. The state then, and what it says."""
    outbox.drain()
    action.refresh_from_db()
    return action.state, action.says
