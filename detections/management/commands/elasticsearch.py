"""`manage.py elasticsearch check` and `setup`: whether a cluster is fit, and what to make there."""

import json
from argparse import ArgumentParser
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from detections.errors import StoreError


class Command(BaseCommand):
    help = (
        "check: what each credential may and may not do, which patterns match what, version, clock, and "
        "a trial of the shipped rule; ends with 1 if something is missing. setup: install the templates of "
        "our data streams with the credential ELASTICSEARCH_SETUP_*, or print everything with --print."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        actions.add_parser("check", help="look at the cluster and at our credentials")
        setup = actions.add_parser("setup", help="install templates, print roles")
        setup.add_argument("--print", action="store_true", dest="only_print", help="install nothing")

    def handle(self, *_args: Any, action: str, **options: Any) -> None:
        if not settings.ELASTICSEARCH_URL:
            raise CommandError("No cluster is named. Set ELASTICSEARCH_URL; docs/elasticsearch.md explains.")
        if action == "setup":
            self._setup(only_print=options["only_print"])
            return
        if faults := self._check():
            raise CommandError(f"{faults} {'thing needs' if faults == 1 else 'things need'} to be put right.")

    def _setup(self, *, only_print: bool) -> None:
        # Not above: no other command needs the client.
        from detections.stores.elasticsearch.setting_up import install, instructions

        if not only_print:
            from detections.cluster_settings import cluster_for_setup

            try:
                for name in install(cluster_for_setup()):
                    self.stdout.write(f"Installed index template {name}.")
            except StoreError as error:
                raise CommandError(
                    f"{error} To do it by hand: manage.py elasticsearch setup --print."
                ) from error
        for line, body in instructions(settings.ELASTICSEARCH_INDICES, templates_too=only_print):
            self.stdout.write(f"\n{line}\n{json.dumps(body, indent=2)}")

    def _check(self) -> int:
        from detections.cluster_settings import cluster, writes_copies
        from detections.stores.elasticsearch import Access
        from detections.stores.elasticsearch.connection import Connection

        named = cluster()
        try:
            connection = Connection(named)
        except StoreError as error:
            raise CommandError(str(error)) from error
        faults = 0
        for access in Access:
            if access is Access.WRITE and not writes_copies():
                self._say("write", "no credential of its own: alerts are not copied into the cluster")
                continue
            faults += self._rights(connection, access)
        return faults + self._cluster(connection) + self._trial(connection)

    def _rights(self, connection: Any, access: Any) -> int:
        from detections.stores.elasticsearch import examining

        found = examining.rights(connection, access)
        if found.error:
            self._say(access.value, f"FAILED: {found.error}")
            return 1
        self._say(access.value, f"signed in as {found.user}")
        for title, given in (("may", found.granted), ("MAY NOT", found.missing), ("may too", found.beyond)):
            if given:
                self._say("", f"{title}: {', '.join(given)}")
        if found.beyond:
            self._say("", "Take away what it may too: what is not needed can be stolen.")
        return len(found.missing)

    def _cluster(self, connection: Any) -> int:
        from detections.stores.elasticsearch import clock, examining

        patterns, faults = connection.cluster.patterns, 0
        self._say("version", examining.version(connection) or "not told")
        for one in examining.matches(connection, patterns):
            shown = ", ".join(one.streams[:8]) + (", ..." if len(one.streams) > 8 else "")
            indices = "1 index" if one.indices == 1 else f"{one.indices} indices"
            said = f"{indices}: {shown}" if one.indices else "matches no index"
            self._say(f"pattern {one.pattern}", one.error or said)
            faults += bool(one.error)
        try:
            theirs = clock.time_of(connection, patterns)
            difference = (theirs - datetime.now(UTC)).total_seconds() if theirs else None
            self._say("clock", "not told" if difference is None else f"{difference:+.0f} s from ours")
            if theirs:
                connection.note_clock(theirs)
            connection.require_one_clock()
        except StoreError as error:
            self._say("clock", f"FAILED: {error}")
            faults += 1
        waits = examining.refresh_interval(connection, patterns)
        if waits and waits > timedelta(seconds=10):
            self._say(
                "refresh", f"documents wait {waits.total_seconds():.0f} s: give rules a longer settle time"
            )
        return faults

    def _trial(self, connection: Any) -> int:
        """The shipped rule over the last hour, as a run would search it."""
        from detections import trial_of_rule

        try:
            error, matches = trial_of_rule.in_cluster(connection)
        except StoreError as failed:
            error, matches = str(failed), 0
        said = f"FAILED: {error}" if error else f"runs; {matches} matches in the last hour"
        self._say("shipped rule", said)
        return bool(error)

    def _say(self, name: str, text: str) -> None:
        self.stdout.write(f"{name:24} {text}")
