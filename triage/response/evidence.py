"""What the ladder itself does about the evidence: a case pack is made, the other hosts are searched.

Each is begun once an attempt: whoever asks again, also after a crash, finds what was begun since then. A pack
or a search that somebody asked for on its own page stands for it as well.
"""

from datetime import datetime, timedelta

from django.utils import timezone

from detections.actors import Actor, NotPermittedError, of_user
from triage.actions.outcomes import Outcome, Proof, Result
from triage.enums import CheckOutcome, PackState, ScopeRunState
from triage.models import CasePack, ResponseAction, ScopeRun
from triage.preserve import pack_files, preservation, preserving
from triage.response.executors import executor
from triage.response.kinds import PRESERVE, SEARCH
from triage.scope import matrix as scope_matrix
from triage.scope import scoping

FIRST_LOOK, LONGEST_PAUSE = timedelta(seconds=3), timedelta(minutes=1)


def pack_of(action: ResponseAction) -> CasePack | None:
    """The pack that a begun action is about."""
    wanted = action.external_id if action.kind.key == PRESERVE else ""
    return CasePack.objects.filter(case=action.case_id, pk=wanted).first() if wanted.isdecimal() else None


def search_of(action: ResponseAction) -> ScopeRun | None:
    """The search that a begun action is about."""
    wanted = action.external_id if action.kind.key == SEARCH else ""
    return ScopeRun.objects.filter(case=action.case_id, pk=wanted).first() if wanted.isdecimal() else None


def _prove_pack(action: ResponseAction) -> Proof:
    pack = pack_of(action)
    if pack is None or pack.state != PackState.SUCCEEDED:
        return Proof(CheckOutcome.UNKNOWN, "There is no pack to look at.")
    try:
        pack_files.open_checked(pack).close()
    except pack_files.ChangedPackError as error:
        return Proof(CheckOutcome.BROKEN, str(error))
    return Proof(CheckOutcome.HOLDING, f"{pack.name} is what was made: its SHA-256 was taken again.")


@executor(PRESERVE, is_repeatable=True, prove=_prove_pack)
def preserve(action: ResponseAction) -> Outcome:
    """Make the pack, or say how far it is."""
    pack = pack_of(action)
    if pack is None:
        try:
            pack = preserving.preserve(action.case, actor=_asker(action), since=_begun(action))
        except NotPermittedError as error:
            return Outcome(Result.FAILED, str(error))
    pack.case = action.case
    if pack.is_under_way:
        return _under_way(action, f"{pack.name} is being made.", pack.pk)
    if pack.state == PackState.FAILED:
        return Outcome(Result.FAILED, f"{pack.name} could not be made: {pack.reason}", str(pack.pk))
    lacking = preservation.lacking(pack)
    said = f"{pack.name} is made: {len(pack.kept) - len(lacking)} of {len(pack.kept)} that the guide names."
    told = f" Not preserved: {', '.join(lacking)}." if lacking else ""
    output = {"pack": pack.name, "sha256": pack.sha256, "bytes": pack.size}
    return Outcome(Result.DONE, said + told, str(pack.pk), output)


def _prove_search(action: ResponseAction) -> Proof:
    run = search_of(action)
    if run is None or run.is_under_way:
        return Proof(CheckOutcome.UNKNOWN, "There is no result to look at.")
    return Proof(CheckOutcome.HOLDING, f"Search {run.number} is kept, SHA-256 {run.sha256}.")


@executor(SEARCH, is_repeatable=True, prove=_prove_search)
def search(action: ResponseAction) -> Outcome:
    """Search the other hosts for the usual indicators, or say how far that is."""
    run = search_of(action)
    if run is None:
        try:
            run = scoping.ask_usual(action.case, actor=_asker(action), since=_begun(action))
        except NotPermittedError as error:
            return Outcome(Result.FAILED, str(error))
    if run.is_under_way:
        return _under_way(action, f"Search {run.number} of other hosts is under way.", run.pk)
    if run.state == ScopeRunState.FAILED:
        return Outcome(Result.FAILED, f"Search {run.number} failed: {run.reason}", str(run.pk))
    said = f"Search {run.number}: {scope_matrix.summary(action.case, run)} {run.reason}".strip()
    output = {"search": run.number, "hosts_reporting": run.hosts_reporting, "sha256": run.sha256}
    return Outcome(Result.DONE, said, str(run.pk), output)


def _asker(action: ResponseAction) -> Actor:
    if action.requested_by is None:
        raise NotPermittedError("Nobody is named who asked for it.")
    return of_user(action.requested_by)


def _begun(action: ResponseAction) -> datetime:
    return action.started_at or timezone.now()


def _under_way(action: ResponseAction, says: str, pk: int) -> Outcome:
    """Looked at again soon, then ever less often: a pack may wait ten minutes for its pivots."""
    pause = min(FIRST_LOOK * max(1, action.looks), LONGEST_PAUSE)
    return Outcome(Result.STARTED, says, str(pk), again_after=pause)
