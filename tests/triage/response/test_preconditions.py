"""Every precondition: refused before, allowed after, at the request and at the approval."""

import pytest
from django.utils import timezone

from tests.factories.actions import WHY, observable, permitted, preserved, scoped
from triage import verdicts
from triage.enums import CheckState, Points
from triage.errors import GateClosedError, TriageError
from triage.guides.model import Guide, Precondition, ResponseStage, StageAction, StageFor
from triage.models import CheckResult, Question, ResponseAction
from triage.response import actions as response_actions
from triage.response import ladder as response_ladder
from triage.response.actions import PreconditionError, Wish

pytestmark = pytest.mark.django_db


def confirm(case, actor):
    """The verdict malicious, with a question that points there."""
    Question.objects.filter(case=case).update(state="escalate")
    case.refresh_from_db()
    return verdicts.confirm_malicious(case, reason="It ran a payload.", actor=actor, version=case.version)


def fired(case, question="retrieval"):
    return CheckResult.objects.create(
        case=case,
        question_key=question,
        key=f"{question}_sign",
        state=CheckState.FIRED,
        points=Points.ESCALATE,
        says="The process reached a public address.",
        evaluated_at=timezone.now(),
    )


def refusal(case, kind, actor, target, stage=""):
    with pytest.raises(PreconditionError) as refused:
        response_actions.request(case, Wish(kind, WHY, stage, str(target.pk)), actor=actor)
    return [one.key for one in refused.value.lacking]


def test_containment_needs_preserved_evidence(make_case, analyst):
    case = make_case()
    ip = observable(case)
    assert refusal(case, "block_destination", analyst, ip) == ["evidence_preserved"]
    preserved(case)
    asked = response_actions.request(case, Wish("block_destination", WHY, target=str(ip.pk)), actor=analyst)
    assert asked.state == "requested"


def test_isolation_needs_a_payload_or_the_verdict_and_a_role_that_permits_it(make_case, analyst, lead):
    case = make_case()
    host = observable(case, case.host_name, "host")
    preserved(case)
    wanted = ["malicious_or_payload", "isolation_permitted"]
    assert refusal(case, "isolate_host", analyst, host, "contain") == wanted
    fired(case, "identity")
    assert refusal(case, "isolate_host", analyst, host, "contain") == wanted
    fired(case)
    assert refusal(case, "isolate_host", analyst, host, "contain") == ["isolation_permitted"]
    asset = permitted(case, allowed=False)
    assert refusal(case, "isolate_host", analyst, host, "contain") == ["isolation_permitted"]
    asset.isolation_permitted = True
    asset.save()
    made = response_actions.request(case, Wish("isolate_host", WHY, "contain", str(host.pk)), actor=analyst)
    assert (made.state, made.stage) == ("requested", "contain")


def test_full_containment_needs_the_verdict(make_case, analyst):
    case = make_case()
    preserved(case)
    user = observable(case, "CORP\\adm-kline", "user")
    assert refusal(case, "disable_account", analyst, user) == ["disposition_malicious"]
    with pytest.raises(GateClosedError, match="No question points to escalate"):
        verdicts.confirm_malicious(case, reason="So it seems.", actor=analyst, version=case.version)
    confirm(case, analyst)
    wish = Wish("disable_account", WHY, target=str(user.pk))
    action = response_actions.request(case, wish, actor=analyst)
    assert (action.state, action.is_containment) == ("requested", True)


def test_a_verdict_that_its_answers_left_opens_nothing_any_more(make_case, analyst, lead):
    case = make_case()
    preserved(case)
    confirm(case, analyst)
    user = observable(case, "CORP\\adm-kline", "user")
    action = response_actions.request(case, Wish("disable_account", WHY, target=str(user.pk)), actor=analyst)
    Question.objects.filter(case=case).update(state="unresolved")
    with pytest.raises(PreconditionError, match="The verdict is not malicious"):
        response_actions.approve(action, actor=lead, seen_sha256=action.content_sha256)
    case.refresh_from_db()
    verdicts.withdraw(case, reason="It was a test.", actor=analyst, version=case.version)
    case.refresh_from_db()
    assert case.disposition == "undetermined"
    with pytest.raises(TriageError, match="no verdict to take back"):
        verdicts.withdraw(case, reason="Again.", actor=analyst, version=case.version)


def test_removal_needs_recorded_ids_and_a_search_of_other_hosts(make_case, analyst):
    case = make_case()
    preserved(case)
    confirm(case, analyst)
    digest = observable(case, "ab" * 32, "hash", event_count=0)
    assert refusal(case, "delete_files", analyst, digest) == ["ids_recorded", "scope_known"]
    digest.event_count = 2
    digest.save()
    assert refusal(case, "delete_files", analyst, digest) == ["scope_known"]
    scoped(case)
    made = response_actions.request(case, Wish("delete_files", WHY, target=str(digest.pk)), actor=analyst)
    assert (made.state, made.needs_approval) == ("requested", True)


def test_credentials_are_reset_after_the_scope_is_known(make_case, analyst):
    case = make_case()
    preserved(case)
    confirm(case, analyst)
    user = observable(case, "CORP\\adm-kline", "user")
    assert refusal(case, "reset_credentials", analyst, user) == ["scope_known"]
    scoped(case)
    assert response_actions.request(
        case, Wish("reset_credentials", WHY, target=str(user.pk)), actor=analyst
    ).needs_approval


def test_a_system_account_is_never_disabled(make_case, analyst):
    case = make_case()
    confirm(case, analyst)
    user = observable(case, "NT AUTHORITY\\SYSTEM", "user", marks=["system account"])
    with pytest.raises(TriageError, match="is a system account"):
        response_actions.request(case, Wish("disable_account", WHY, target=str(user.pk)), actor=analyst)


STAGES = (
    ResponseStage(
        "close",
        "Close as benign",
        StageFor.BENIGN,
        "",
        (Precondition("gate_open", "The gate allows benign."),),
        (StageAction("tidy_up", "Tidy up"),),
    ),
    ResponseStage(
        "odd",
        "Odd",
        StageFor.ANY,
        "",
        (Precondition("moon_full", "The moon is full."),),
        (StageAction("howl", "Howl"),),
    ),
)


def test_what_a_guide_asks_and_nobody_knows_never_holds(make_case):
    rungs = response_ladder.ladder(make_case(), Guide("G", response=STAGES))
    assert [offer.is_offered for rung in rungs for offer in rung.offers] == [False, False]
    assert rungs[1].offers[0].why_not == "This version knows no precondition 'moon_full'."
    assert "Benign is not open" in rungs[0].offers[0].why_not


def test_a_benign_rung_opens_with_the_gate(make_case):
    case = make_case()
    Question.objects.filter(case=case).update(state="lower")
    rungs = response_ladder.ladder(case, Guide("G", response=STAGES))
    assert rungs[0].offers[0].why_not == ""


def test_a_guide_in_prose_alone_keeps_its_advice_above_the_usual_rungs(make_case):
    prose = ResponseStage("step_1", "If suspicious", StageFor.SUSPICIOUS, "Preserve first.")
    rungs = response_ladder.ladder(make_case(), Guide("G", response=(prose,)))
    assert [(rung.key, rung.is_advice) for rung in rungs[:2]] == [("step_1", True), ("preserve", False)]
    assert [rung.key for rung in rungs[1:]] == [
        "preserve", "contain", "confirmed_malicious", "scope", "eradicate", "harden",
    ]  # fmt: skip


def test_a_kind_that_only_an_overlay_names_needs_an_approval(make_case, analyst):
    from triage.response.kinds import kind_of

    kind = kind_of("howl", StageAction("howl", "Howl", is_destructive=True))
    assert (kind.needs_approval, kind.is_destructive, kind.connector) == (True, True, None)
    assert not ResponseAction.objects.exists()


def test_the_page_and_the_admin_refuse_what_the_function_refuses(client, ana, adi, make_case, settings):
    settings.STATIC_ROOT.mkdir(exist_ok=True)
    case = make_case()
    row = observable(case)
    client.force_login(ana)
    page = f"/cases/{case.pk}/response/request/"
    typed = {"kind": "block_destination", "stage": "contain", "target": row.pk, "reason": "It spreads."}
    refused = client.post(page, typed)
    assert (refused.status_code, ResponseAction.objects.count()) == (422, 0)
    assert "Preserve the evidence first" in refused.text
    assert "It spreads." in refused.text
    assert client.post(page, typed | {"override": "It can not wait any longer."}).status_code == 403
    preserved(case)
    assert client.post(page, typed).status_code == 302
    action = ResponseAction.objects.get()
    client.force_login(adi)
    admin = f"/admin/triage/responseaction/{action.pk}/change/"
    assert client.post(admin, {"state": "approved"}).status_code == 403
    assert client.post("/admin/triage/responseaction/add/", {"state": "approved"}).status_code == 403
    action.refresh_from_db()
    assert action.state == "requested"
