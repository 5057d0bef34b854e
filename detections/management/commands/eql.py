"""`manage.py eql`: one query over captures, for those who write rules."""

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from detections.eql.parser import parse
from detections.errors import EqlError
from detections.hunt.captures import Hunt
from detections.hunt.explaining import explained
from detections.hunt.lines import LineFormat, printable
from detections.hunt.reports import summary_lines
from detections.hunt.rules import TIMESTAMP, HuntRule, RuleSet
from detections.management.commands.hunt import print_matches

QUERY_ID = "query"


class Command(BaseCommand):
    help = (
        "Run one EQL query over captures (EVTX, NDJSON, folders of them). Needs no database. Ends with 1 "
        "when the query can't run or a file could not be read."
    )
    requires_system_checks: list[str] = []
    requires_migrations_checks = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("query", metavar="QUERY", help="the query, or @FILE to read it from a file")
        parser.add_argument("--events", nargs="+", required=True, metavar="FILE", type=Path)
        parser.add_argument(
            "--format", choices=[one.value for one in LineFormat], default="table", help="default: table"
        )
        parser.add_argument("--explain", action="store_true", help="also print the plan, to stderr")
        parser.add_argument("--timestamp-field", default=TIMESTAMP, metavar="F")
        parser.add_argument("--tiebreaker-field", default="", metavar="F")
        parser.add_argument("--event-category-field", default="event.category", metavar="F")
        parser.add_argument("--together", action="store_true", help="all files are one universe")

    def handle(self, *_args: Any, **options: Any) -> None:
        hunt = Hunt(_rules(options), together=options["together"], keep_rows=options["explain"])
        print_matches(self, hunt, options["events"], LineFormat(options["format"]))
        for universe in hunt.searched:
            for line in explained(universe):
                self.stderr.write(printable(line), style_func=str)
        if hunt.summary.positions and not hunt.summary.ran:
            raise CommandError("\n".join(hunt.summary.positions.values()))
        for line in summary_lines(hunt.summary, hunt.rules):
            self.stderr.write(line, style_func=str)
        if hunt.summary.unreadable or hunt.summary.failed or not hunt.summary.ran:
            sys.exit(1)


def _rules(options: dict[str, Any]) -> RuleSet:
    try:
        query = parse(_text(options["query"]))
    except EqlError as error:
        raise CommandError(str(error)) from error
    rule = HuntRule(
        rule_id=QUERY_ID,
        name=QUERY_ID,
        query=query,
        timestamp_field=options["timestamp_field"],
        tiebreaker_field=options["tiebreaker_field"],
        category_field=options["event_category_field"],
    )
    return RuleSet([rule])


def _text(query: str) -> str:
    """The query, or what the file behind an @ holds."""
    if not query.startswith("@"):
        return query
    try:
        return Path(query[1:]).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{query[1:]}: the query can't be read: {error}") from error
