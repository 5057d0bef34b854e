"""The list of rules, its filters and switches, the matrix, and importing by upload."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from detections.models import Rule, RuleVersion
from tests.factories.rule_exports import closing_line, exception_list, lines, rule_values

pytestmark = pytest.mark.django_db

LATERAL = [
    {
        "tactic": {"name": "Lateral Movement"},
        "technique": [
            {"id": "T1021", "name": "Remote Services", "subtechnique": [{"id": "T1021.003", "name": "DCOM"}]}
        ],
    }
]
IMPACT = [{"tactic": {"name": "Impact"}, "technique": [{"id": "T1486", "name": "Data Encrypted"}]}]


@pytest.fixture
def make(db):
    """A rule with a version; other arguments are its columns."""

    def make(name, *, threat=(), tags=(), **columns) -> Rule:
        values = {"rule_id": name, "type": "eql", "severity": "low", "risk_score": 21, **columns}
        rule = Rule.objects.create(name=name, **values)
        rule.current = RuleVersion.objects.create(
            rule=rule,
            number=1,
            threat=list(threat),
            tags=list(tags),
            source="s",
            sha256="0" * 64,
            query="any where true",
        )
        rule.save()
        return rule

    return make


@pytest.fixture
def some(make):
    make("Shells", threat=LATERAL, tags=["Data Source: Sysmon"], enabled=True)
    make("Ransom", threat=IMPACT, tags=["Data Source: Elastic Defend"])
    make("Counter", threat=IMPACT, type="threshold")


def names(reply):
    return [rule.name for rule, *_ in reply.context["rows"]]


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ("", ["Shells", "Counter", "Ransom"]),
        ("tactic=Impact", ["Counter", "Ransom"]),
        ("technique=T1021", ["Shells"]),
        ("technique=T1021.003", ["Shells"]),
        ("tactic=Impact&technique=T1021", []),
        ("source=Elastic+Defend", ["Ransom"]),
        ("type=threshold", ["Counter"]),
        ("runnable=no", ["Counter"]),
        ("enabled=yes", ["Shells"]),
        ("q=sysmon", ["Shells"]),
        ("q=ransom&enabled=no", ["Ransom"]),
    ],
)
def test_filters_narrow_the_list(as_analyst, some, filters, found):
    assert names(as_analyst.get(f"/rules/?{filters}")) == found


def test_a_filter_that_lets_nothing_through_says_so(as_analyst, some):
    assert "3 rules are loaded; the search and the filters let none" in as_analyst.get("/rules/?q=zzz").text


def test_the_list_asks_the_database_as_often_for_many_rules_as_for_one(
    as_admin, make, django_assert_num_queries
):
    make("One")
    with CaptureQueriesContext(connection) as first:
        as_admin.get("/rules/")
    for number in range(60):
        make(f"Rule {number:02}", threat=LATERAL)
    with django_assert_num_queries(len(first)):
        as_admin.get("/rules/")
    assert names(as_admin.get("/rules/?page=2"))[-1] == "Rule 59"


def test_ticked_rules_are_enabled_and_the_filters_stay(as_admin, some, store):
    ids = list(Rule.objects.filter(name__in=["Ransom", "Counter"]).values_list("pk", flat=True))
    reply = as_admin.post(
        "/rules/switch/", {"rules": ids, "enabled": "yes", "filters": "tactic=Impact"}, follow=True
    )
    assert reply.redirect_chain == [("/rules/?tactic=Impact", 302)]
    assert sorted(Rule.objects.enabled().values_list("name", flat=True)) == ["Ransom", "Shells"]
    assert [str(message) for message in reply.context["messages"]] == [
        "1 rule is enabled now.",
        "Left disabled, because their type does not run here yet: 1 Threshold.",
    ]


def test_all_that_match_are_disabled(as_admin, some, make):
    make("Other", enabled=True)
    as_admin.post("/rules/switch/", {"which": "all", "enabled": "no", "filters": "source=Sysmon"})
    assert list(Rule.objects.enabled().values_list("name", flat=True)) == ["Other"]


def test_enabling_a_twin_warns_on_the_list_and_on_its_page(as_admin, make, store):
    make("Ours", enabled=True, replaces=["Theirs"])
    theirs = make("Theirs")
    link = reverse("rule", args=[theirs.pk])
    assert "Enabling this rule as well makes each match count twice" in as_admin.get(link).text
    reply = as_admin.post("/rules/switch/", {"rules": [theirs.pk], "enabled": "yes"}, follow=True)
    warning = (
        "Theirs and Ours (Ours) do the same work and are both enabled: what they find counts twice. "
        "Disable one of them."
    )
    assert [str(message) for message in reply.context["messages"]] == ["1 rule is enabled now.", warning]
    assert warning in as_admin.get(link).text


def test_analysts_and_leads_do_not_switch_rules(client, ana, lin, some):
    for user in (ana, lin):
        client.force_login(user)
        ids = list(Rule.objects.values_list("pk", flat=True))
        assert client.post("/rules/switch/", {"rules": ids, "enabled": "no"}).status_code == 403
    assert Rule.objects.enabled().count() == 1


def test_the_matrix_counts_enabled_rules_that_run_here(as_analyst, some):
    reply = as_analyst.get("/rules/coverage/")
    assert [
        (
            column.tactic,
            column.enabled,
            column.loaded,
            [(c.technique, c.enabled, c.loaded) for c in column.cells],
        )
        for column in reply.context["columns"]
    ] == [("Lateral Movement", 1, 1, [("T1021", 1, 1)]), ("Impact", 0, 2, [("T1486", 0, 2)])]
    assert "/rules/?tactic=Lateral+Movement&amp;technique=T1021&amp;enabled=yes" in reply.text


def test_an_outsider_sees_no_rule_in_list_and_matrix(client, otto, some):
    client.force_login(otto)
    assert names(client.get("/rules/")) == []
    assert client.get("/rules/coverage/").context["columns"] == []


def upload(text, name="export.ndjson"):
    return {"rules": [SimpleUploadedFile(name, text.encode())]}


def test_an_upload_is_shown_before_it_is_imported(client, lin, store):
    client.force_login(lin)
    hostile = "<script>x</script>\u202e"
    text = lines(rule_values("a", name=hostile), exception_list(), closing_line(1, 1))
    reply = client.post("/rules/import/", upload(text), follow=True)
    assert Rule.objects.count() == 0
    assert "1 exception list in the files is not imported with the rules" in reply.text
    assert "<script>x" not in reply.text
    link = reply.redirect_chain[0][0]
    done = client.post(link, {"act": "import", "sha256": reply.context["found"].sha256}, follow=True)
    assert "1 new and 0 changed rules are imported. New ones are disabled." in done.text
    assert Rule.objects.get().enabled is False
    assert client.get(link).status_code == 404


def test_a_difference_is_shown_and_a_stale_look_imports_nothing(as_admin, store):
    text = lines(rule_values("a"), closing_line(1))
    link = as_admin.post("/rules/import/", upload(text)).url
    as_admin.post(link, {"act": "import", "sha256": as_admin.get(link).context["found"].sha256})
    changed = upload(lines(rule_values("a", query="file where true"), closing_line(1)))
    link = as_admin.post("/rules/import/", changed).url
    assert '<li class="prewrap add">file where true</li>' in as_admin.get(link).text
    assert as_admin.post(link, {"act": "import", "sha256": "old"}).status_code == 409
    assert RuleVersion.objects.count() == 1


def test_what_is_refused_is_shown_with_its_place(as_admin):
    text = lines(rule_values("a"), closing_line(3))
    reply = as_admin.post("/rules/import/", upload(text), follow=True)
    assert "export.ndjson:2" in reply.text
    assert "There is nothing to import." in reply.text


def test_discarded_files_are_gone(as_admin, settings):
    link = as_admin.post("/rules/import/", upload(lines(rule_values("a"), closing_line(1)))).url
    as_admin.post(link, {"act": "discard"})
    assert list((settings.UPLOADS_DIR / "rules").iterdir()) == []


def test_analysts_do_not_import_rules(as_analyst):
    assert as_analyst.get("/rules/import/").status_code == 403
    assert as_analyst.post("/rules/import/", upload("x")).status_code == 403
    assert "Import rules" not in as_analyst.get("/rules/").text


def test_the_rule_s_page_lists_its_alerts_with_where_they_went(as_analyst, make, django_assert_num_queries):
    from django.utils import timezone

    from tests.factories.cases import alert

    rule = make("Shells")
    link = reverse("rule", args=[rule.pk])
    alert(rule, [{"host": {"name": "<b>h</b>", "id": "h"}}], timezone.now())
    with CaptureQueriesContext(connection) as first:
        shown = as_analyst.get(link)
    assert [(row.case, row.is_hidden) for row in shown.context["alert_rows"]] == [(None, False)]
    assert "Not routed yet" in shown.text
    assert "<b>h" not in shown.text
    for number in range(25):
        alert(rule, [{"host": {"name": "h", "id": "h"}}], timezone.now(), name=f"n{number}")
    with django_assert_num_queries(len(first)):
        as_analyst.get(link)
    assert len(as_analyst.get(f"{link}?page=2").context["alert_rows"]) == 6


def test_noisy_rules_are_found_noisiest_first(as_analyst, make, make_case):
    from django.utils import timezone

    from tests.factories.cases import alert

    loud, harmless, quiet = make("Loud"), make("Harmless"), make("Quiet")
    now = timezone.now()

    def of(rule, case):
        case.rule = rule
        case.save()

    for number in range(30):
        alert(loud, [{"host": {"id": "h"}}], now, name=f"loud{number}")
    alert(quiet, [{"host": {"id": "h"}}], now)
    for number in range(5):
        outcome = "malicious" if number == 0 else "benign"
        closed = {"status": "closed", "disposition": outcome, "closed_at": now}
        of(harmless, make_case(number, **closed))
        of(quiet, make_case(number + 5, **{**closed, "disposition": "malicious"}))
    assert names(as_analyst.get("/rules/?noisy=yes")) == ["Loud", "Harmless"]
    assert names(as_analyst.get("/rules/?noisy=no")) == ["Found it", "Quiet"]
    rows = {
        rule.name: noise for rule, _facts, _tactics, _open, noise in as_analyst.get("/rules/").context["rows"]
    }
    assert (rows["Loud"].a_day, rows["Harmless"].harmless_percent, rows["Quiet"].harmless_percent) == (
        1,
        80,
        0,
    )


def test_a_version_shows_what_it_changed(as_admin, store):
    for query in ("process where true", "file where true // <script>"):
        link = as_admin.post(
            "/rules/import/", upload(lines(rule_values("a", query=query), closing_line(1)))
        ).url
        as_admin.post(link, {"act": "import", "sha256": as_admin.get(link).context["found"].sha256})
    rule = Rule.objects.get()
    shown = as_admin.get(reverse("rule_version", args=[rule.pk, 2]))
    assert [(change.part, [str(line) for line in change.lines]) for change in shown.context["changes"]] == [
        ("Query", ["-process where true", "+file where true // <script>"])
    ]
    assert "// <script>" not in shown.text
    assert "The first version" in as_admin.get(reverse("rule_version", args=[rule.pk, 1])).text


def test_what_may_bite_comes_to_the_rule_s_page(as_admin, store):
    link = as_admin.post("/rules/import/", upload(lines(rule_values("a"), closing_line(1)))).url
    as_admin.post(link, {"act": "import", "sha256": as_admin.get(link).context["found"].sha256})
    pk = Rule.objects.get().pk
    assert "What may bite" in as_admin.get(reverse("rule_lint", args=[pk])).text
