"""What the ladder does about the evidence itself: the pack and the search are made once, whatever crashes."""

import zipfile
from datetime import timedelta

import pytest
import time_machine
from django.urls import reverse
from django.utils import timezone

from detections import outbox
from detections.stores.base import Clause, Filters
from tests.factories.actions import WHY, preserved, scoped, scripted
from tests.factories.cases import alert, cases_of
from triage import cases
from triage.actions.outcomes import Outcome, Result
from triage.errors import CasewrightError, GateClosedError
from triage.models import CasePack, Occurrence, ResponseAction, ScopeRun
from triage.preserve import case_pack, case_report, file_collection, pack_files, preservation, preserving
from triage.response import actions as response_actions
from triage.response import checks as response_checks
from triage.response import evidence as response_evidence
from triage.response import ladder as response_ladder
from triage.response import running as response_running
from triage.response.actions import Wish
from triage.scope import indicators as scope_indicators
from triage.scope import scoping

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def files_and_no_pdf(settings, tmp_path, monkeypatch):
    settings.DATA_DIR = tmp_path / "data"
    settings.STATIC_ROOT.mkdir(exist_ok=True)
    monkeypatch.setattr(case_report, "to_pdf", lambda html: (b"", "not in this test"))


def asked(case, kind, actor):
    return response_actions.request(case, Wish(kind, WHY), actor=actor)


def settled(action, *, minutes=3):
    """Deliver all that comes due in the next minutes."""
    now = timezone.now()
    for step in range(minutes * 6):
        with time_machine.travel(now + timedelta(seconds=10 * step), tick=False):
            outbox.drain()
    action.refresh_from_db()
    return action.state


def why(case, kind):
    offers = [
        offer for rung in response_ladder.ladder(case) for offer in rung.offers if offer.spec.key == kind
    ]
    return offers[0].why_not


def test_preserving_on_the_ladder_makes_the_pack(make_case, analyst):
    case = make_case()
    action = asked(case, "preserve_evidence", analyst)
    assert settled(action) == "succeeded"
    pack = CasePack.objects.get(case=case)
    assert (action.external_id, action.output["pack"], action.output["sha256"]) == (
        str(pack.pk),
        pack.name,
        pack.sha256,
    )
    assert action.says.startswith(f"{pack.name} is made: ")
    assert preservation.evidence_preserved(case) is True
    proof = response_checks.prove_now(action, actor=analyst)
    assert proof.says == f"{pack.name} is what was made: its SHA-256 was taken again."


def test_a_pack_that_fails_fails_its_action_and_can_be_tried_again(make_case, analyst, monkeypatch):
    case = make_case()
    build = case_pack.build

    def full(_pack):
        raise CasewrightError("The disk is full.")

    monkeypatch.setattr(case_pack, "build", full)
    action = asked(case, "preserve_evidence", analyst)
    assert settled(action) == "failed"
    assert action.says == f"{case.number}-pack-1.zip could not be made: The disk is full."
    assert preservation.evidence_preserved(case) is False
    monkeypatch.setattr(case_pack, "build", build)
    response_actions.retry(action, actor=analyst)
    assert settled(action) == "succeeded"
    assert list(case.packs.values_list("state", flat=True)) == ["failed", "succeeded"]


class Lost(BaseException):
    """The process is gone."""


@pytest.mark.parametrize("kind", ["preserve_evidence", "search_other_hosts"])
@pytest.mark.parametrize("moment", ["before", "after", "store"])
def test_whenever_the_worker_is_lost_it_is_made_once(kind, moment, make_case, store, analyst, monkeypatch):
    case = make_case()
    looks_for = Filters(((Clause("source.ip", values=("203.0.113.57",)),),))
    chosen = [scope_indicators.Indicator("source:x", "source.ip", "203.0.113.57", looks_for, ("connection",))]
    monkeypatch.setattr(scope_indicators, "offered", lambda _case: chosen)
    ask, begin = (preserving, "preserve") if kind == "preserve_evidence" else (scoping, "ask_usual")
    real = getattr(ask, begin)

    def lost(*given, **named):
        if moment == "after":
            real(*given, **named)
        raise Lost

    if moment == "store":
        monkeypatch.setattr(response_running, "store", lambda *_given, **_named: lost())
    else:
        monkeypatch.setattr(ask, begin, lost)
    action = asked(case, kind, analyst)
    with pytest.raises(Lost):
        outbox.drain()
    monkeypatch.setattr(ask, begin, real)
    if moment == "store":
        monkeypatch.undo()
        monkeypatch.setattr(case_report, "to_pdf", lambda html: (b"", "not in this test"))
        monkeypatch.setattr(scope_indicators, "offered", lambda _case: chosen)
    assert settled(action) == "succeeded"
    made = CasePack if kind == "preserve_evidence" else ScopeRun
    assert made.objects.filter(case=case).count() == 1
    assert action.attempts == 1


def test_a_pack_that_is_under_way_stands_for_it(make_case, analyst):
    case = make_case()
    pack = preserving.preserve(case, actor=analyst)
    action = asked(case, "preserve_evidence", analyst)
    assert settled(action) == "succeeded"
    assert list(case.packs.all()) == [pack]


def test_who_may_make_no_pack_fails_in_words(make_case, ana, analyst):
    from django.contrib.auth.models import Permission

    action = asked(make_case(), "preserve_evidence", analyst)
    for group in ana.groups.all():
        group.permissions.remove(Permission.objects.get(codename="add_casepack"))
    assert settled(action) == "failed"
    assert "may not preserve evidence" in action.says


def test_a_pack_from_the_report_page_counts_until_new_alerts_come(make_case, analyst):
    case = make_case()
    first = "Preserve the evidence first: containing and removing changes what is there."
    assert why(case, "block_destination") == first
    pack = CasePack.objects.create(case=case, number=1, asked_at=timezone.now())
    assert why(case, "block_destination") == f"{pack.name} is being made: wait for it."
    pack.delete()
    pack = preserved(case)
    assert why(case, "block_destination") == ""
    occurrence = alert(case.rule, [{"host": {"id": "id-1"}}], timezone.now())
    Occurrence.objects.create(case=case, alert=occurrence, added_at=timezone.now())
    stale = f"New alerts came after {pack.name} was asked for: preserve the evidence again."
    assert why(case, "block_destination") == stale
    assert preservation.preserved_text(case) == ""


def test_preserving_collects_files_where_a_connector_can_and_the_pack_waits_for_them(
    store, analyst, monkeypatch
):
    (case,) = cases_of("malicious")
    target = scripted("collect_file")
    target.answers = [Outcome(Result.WAITS, "The endpoint is asked.") for _ in range(9)]
    action = asked(case, "preserve_evidence", analyst)
    assert settled(action, minutes=2) == "running"
    files = list(ResponseAction.objects.filter(kind__key="collect_file"))
    assert files
    assert all(file.parameters["paths"] for file in files)
    assert len(target.sent) == len(files) == len({file.target_value for file in files})
    outcome = Outcome(Result.DONE, "Collected.", files=(("dfcache64.zip", b"PK\x03\x04"),))
    for file in files:
        response_running.store(file, outcome, attempt=1)
    now = timezone.now()
    with time_machine.travel(now + timedelta(minutes=5), tick=False):
        assert settled(action) == "succeeded"
    with zipfile.ZipFile(pack_files.path_of(case.packs.get().sha256)) as archive:
        assert any(name.endswith("-dfcache64.zip") for name in archive.namelist())
    assert file_collection.ask(case, actor=analyst) == []


def test_searching_on_the_ladder_asks_all_hosts_and_opens_what_waits_for_it(store, analyst):
    (case,) = cases_of("malicious")
    unknown = "Nobody has searched the other hosts yet: search them before anything is removed for good."
    assert unknown in why(case, "delete_files")
    action = asked(case, "search_other_hosts", analyst)
    assert settled(action) == "succeeded"
    run = ScopeRun.objects.get(case=case)
    assert (action.external_id, action.output["sha256"]) == (str(run.pk), run.sha256)
    assert action.says.startswith("Search 1: 0 other hosts of 1 that report")
    assert run.columns.count() > 3
    assert unknown not in why(case, "delete_files")


def test_a_search_says_in_the_precondition_how_far_it_is(make_case):
    case = make_case()
    run = scoped(case, "running")
    assert "Search 1 of other hosts is under way: wait for its result." in why(case, "delete_files")
    run.state, run.reason, run.finished_at = "partial", "1 of 2 indicators has no full result.", run.asked_at
    run.save()
    assert "other hosts" not in why(case, "delete_files")
    ScopeRun.objects.update(state="failed")
    assert "Nobody has searched the other hosts yet" in why(case, "delete_files")


def test_a_case_without_indicators_says_where_to_choose(make_case, analyst):
    action = asked(make_case(), "search_other_hosts", analyst)
    assert settled(action) == "failed"
    assert action.says == "Nothing is proposed to look for: choose indicators on the case's Scope tab."


def suspicious(case, actor, preserved=""):
    case.refresh_from_db()
    return cases.close_case(
        case,
        disposition="suspicious",
        rationale="Odd.",
        escalated_to="The incident team",
        preserved=preserved,
        actor=actor,
        version=case.version,
    )


def test_a_suspicious_case_is_closed_with_its_pack_or_with_a_list(make_case, analyst):
    case = make_case(1)
    with pytest.raises(GateClosedError, match="Preserve the evidence first, or list what was preserved"):
        suspicious(case, analyst)
    pack = preserved(case)
    suspicious(case, analyst, "The laptop is in the safe.")
    assert case.escalations.get().preserved == (
        f"The laptop is in the safe.\n\n{pack.name}, SHA-256 {pack.sha256}\n"
        "- DNS lookups: 3 events of 1 pivot"
    )
    other = make_case(2)
    suspicious(other, analyst, "A memory image.")
    assert other.escalations.get().preserved == "A memory image."


def test_one_click_preserves_and_searches_and_both_pages_tell_of_it(client, ana, store):
    (case,) = cases_of("malicious")
    client.force_login(ana)
    ladder = reverse("case_response", args=[case.pk])
    click = {"kind": "preserve_evidence", "stage": "preserve", "at_once": "1"}
    assert client.post(reverse("action_request", args=[case.pk]), click).url == ladder
    action = ResponseAction.objects.get()
    assert action.reason == "Preserve the evidence before anything is changed."
    assert settled(action) == "succeeded"
    pack = CasePack.objects.get(case=case)
    shown = client.get(ladder).text
    assert f"{pack.name} is made: " in shown
    assert f"The evidence is preserved in {pack.name}" in shown
    assert reverse("pack_file", args=[pack.pk]) in client.get(reverse("action", args=[action.pk])).text
    client.post(reverse("case_preserve", args=[case.pk]))
    assert f"{case.number}-pack-2.zip" in client.get(ladder).text
    assert response_evidence.pack_of(action) == pack


def test_what_is_hardened_is_one_list_on_the_ladder_and_in_the_report(client, ana, store):
    (case,) = cases_of("malicious")
    client.force_login(ana)
    ladder = reverse("case_response", args=[case.pk])
    given = {
        "key": "limit_dcom",
        "title": "Allow DCOM only from two hosts",
        "owner": ana.pk,
        "due_at": "2031-05-01T12:00",
        "from": "response",
    }
    assert client.post(reverse("case_harden", args=[case.pk]), given).url == ladder
    for page in (ladder, reverse("case_report", args=[case.pk])):
        assert "Allow DCOM only from two hosts" in client.get(page).text
        assert "Limit HTML Applications to workflows that are known" in client.get(page).text
    refused = client.get(reverse("action_request", args=[case.pk]) + "?kind=limit_dcom&stage=harden")
    assert refused.url == ladder
