"""The report as files that stand alone: HTML without a link to anything, and PDF where WeasyPrint is."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.template.loader import render_to_string

from detections.actors import Actor
from triage.models import Case
from triage.preserve.report import report_of

log = logging.getLogger(__name__)
_NOT_INSTALLED = (
    "WeasyPrint is not installed. Install the extra: pip install casewright[pdf]; report.html prints well."
)


@dataclass(frozen=True, slots=True)
class Written:
    """without_pdf: why there is none, or ""."""

    html: str
    pdf: bytes
    without_pdf: str


def written(case: Case, *, actor: Actor, findings: Sequence[str] = ()) -> Written:
    """The report of a case as it stands."""
    report = report_of(case, actor=actor, findings=findings)
    html = render_to_string("reports/standalone.html", {"report": report, "case": case})
    pdf, why = to_pdf(html)
    return Written(html, pdf, why)


def to_pdf(html: str) -> tuple[bytes, str]:
    """The PDF of a report, or nothing and the reason. Nothing is ever fetched for it."""
    try:
        import weasyprint
    except ImportError:
        return b"", _NOT_INSTALLED
    except OSError as error:
        return b"", f"WeasyPrint lacks a library of the system: {str(error).splitlines()[0]}"
    try:
        made: bytes = weasyprint.HTML(string=html, url_fetcher=_fetcher()).write_pdf()
    except Exception as error:  # a report that can't be laid out must not cost the pack
        log.exception("The report could not be laid out as PDF.")
        return (
            b"",
            f"The report could not be laid out as PDF ({type(error).__name__}). report.html has it all.",
        )
    return made, ""


def _fetcher() -> Any:
    """What fetches for WeasyPrint: nothing. Before version 68 that is a function, since then an object."""
    try:
        from weasyprint.urls import URLFetcher
    except ImportError:
        return _refuse
    return URLFetcher(allowed_protocols=())


def _refuse(url: str, *_args: Any, **_kwargs: Any) -> Any:
    raise ValueError(f"a report fetches nothing, not even {url[:100]}")
