"""The pages."""

from django.urls import path

from triage.views import (
    case,
    evidence,
    health,
    imports,
    next_steps,
    operations,
    question,
    queue,
    rules,
    sign_in,
)

urlpatterns = [
    path("", queue.queue, name="queue"),
    path("queue/assign/", queue.queue_assign, name="queue_assign"),
    path("sign-in/", sign_in.sign_in, name="sign_in"),
    path("sign-in/once/<str:token>/", sign_in.sign_in_once, name="sign_in_once"),
    path("sign-out/", sign_in.sign_out, name="sign_out"),
    path("first-run/", sign_in.first_run, name="first_run"),
    path("next-steps/", next_steps.next_steps, name="next_steps"),
    path("cases/<int:pk>/", case.case, name="case"),
    path("cases/<int:pk>/peek/", queue.case_peek, name="case_peek"),
    path("cases/<int:pk>/assign/", case.case_assign, name="case_assign"),
    path("cases/<int:pk>/evidence/", case.case_evidence, name="case_evidence"),
    path("cases/<int:pk>/journal/", case.case_journal, name="case_journal"),
    path("cases/<int:pk>/close/", case.case_close, name="case_close"),
    path("cases/<int:pk>/questions/<str:key>/", question.question, name="question"),
    path("cases/<int:pk>/questions/<str:key>/answer/", question.question_answer, name="question_answer"),
    path("cases/<int:pk>/questions/<str:key>/draft/", question.question_draft, name="question_draft"),
    path(
        "cases/<int:pk>/questions/<str:key>/draft/discard/",
        question.question_drop_draft,
        name="question_drop_draft",
    ),
    path("cases/<int:pk>/questions/<str:key>/confirm/", question.question_confirm, name="question_confirm"),
    path("cases/<int:pk>/pivots/<str:key>/", evidence.pivot, name="pivot"),
    path("cases/<int:pk>/pivots/<str:key>/rerun/", evidence.pivot_rerun, name="pivot_rerun"),
    path("evidence/<int:pk>/", evidence.evidence_row, name="evidence_row"),
    path("evidence/<int:pk>/pin/", evidence.evidence_pin, name="evidence_pin"),
    path("rules/", rules.rules, name="rules"),
    path("rules/<int:pk>/", rules.rule, name="rule"),
    path("healthz", operations.healthz, name="healthz"),
    path("readyz", operations.readyz, name="readyz"),
    path("metrics", operations.figures, name="metrics"),
    path("health/", health.health, name="health"),
    path("imports/", imports.imports, name="imports"),
    path("imports/<int:pk>/", imports.import_row, name="import_row"),
    path("imports/<int:pk>/quarantine/", imports.quarantine, name="quarantine"),
]
