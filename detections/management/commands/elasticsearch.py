"""`manage.py elasticsearch check` and `setup`: whether a cluster is fit, and what to make there."""

import json
import re
from argparse import ArgumentParser
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from detections.errors import StoreError

_SHORT_LIST = re.compile(r"\[\s+([^][{}]*?)\s+\]")
_KEYS = """
# 1. An API key for each purpose. Send these requests in Kibana's Dev Tools, or with curl, as somebody who
#    holds these privileges. The keys end after 90 days: make new ones before."""
_ROLES = """
# 2. Only where keys can't be used: a role for each purpose, and a user with that role alone."""
_THEN = """
# Then: manage.py elasticsearch check"""


class Command(BaseCommand):
    help = (
        "check: what each credential may and may not do, which patterns match what, version, clock, and "
        "a trial of the shipped rule; ends with 1 if something is missing. setup: install the templates of "
        "our data streams with the credential ELASTICSEARCH_SETUP_*, or print everything with --print."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        actions.add_parser("check", help="look at the cluster and at our credentials")
        setup = actions.add_parser("setup", help="install templates, print the keys and roles to make")
        setup.add_argument("--print", action="store_true", dest="only_print", help="install nothing")

    def handle(self, *_args: Any, action: str, **options: Any) -> None:
        if not settings.ELASTICSEARCH_URL:
            raise CommandError("No cluster is named. Set ELASTICSEARCH_URL; docs/elasticsearch.md explains.")
        if action == "setup":
            self._setup(only_print=options["only_print"])
            return
        if faults := self._check():
            raise CommandError(f"{faults} {'thing needs' if faults == 1 else 'things need'} to be put right.")
        self.stdout.write("All is well.")

    # -- setup

    def _setup(self, *, only_print: bool) -> None:
        # Not above: no other command needs the client.
        from detections.cluster_settings import cluster, cluster_for_setup
        from detections.stores.elasticsearch import setting_up

        if only_print:
            self.stdout.write("# 0. Index templates of our own data streams.")
            self._requests(setting_up.template_requests())
        else:
            try:
                for name in setting_up.install(cluster_for_setup()):
                    self.stdout.write(f"# Installed index template {name}.")
            except StoreError as error:
                raise CommandError(
                    f"{error} To do it by hand: manage.py elasticsearch setup --print."
                ) from error
        self.stdout.write(_KEYS)
        self._requests(setting_up.key_requests(cluster()))
        self.stdout.write(_ROLES)
        self._requests(setting_up.role_requests(cluster()))
        self.stdout.write(_THEN)

    def _requests(self, requests: Iterable[Any]) -> None:
        for one in requests:
            body = _SHORT_LIST.sub(_on_one_line, json.dumps(one.body, indent=2))
            self.stdout.write(f"\n# {one.says}\n{one.line}\n{body}")

    # -- check

    def _check(self) -> int:
        from detections.cluster_settings import cluster
        from detections.stores.elasticsearch import Access, examining
        from detections.stores.elasticsearch.connection import Connection

        named = cluster()
        try:
            connection = Connection(named)
            examining.reach(connection)
        except StoreError as error:
            raise CommandError(str(error)) from error
        if not named.credentials:
            raise CommandError(
                "No credential is set. `manage.py elasticsearch setup --print` prints the keys to make, and "
                "into which setting each belongs."
            )
        self._say(
            "cluster", f"{', '.join(named.urls)}, version {examining.version(connection) or 'not told'}"
        )
        faults = self._credentials(connection)
        if examining.rights(connection, Access.DETECT).error:
            self._say("the rest", "not asked: it needs the credential detect")
            return faults
        return faults + self._telemetry(connection) + self._clock(connection) + self._trial(connection)

    def _credentials(self, connection: Any) -> int:
        from detections.cluster_settings import writes_copies
        from detections.stores.elasticsearch import Access

        faults = 0
        for access in Access:
            if access is Access.WRITE and not writes_copies() and not connection.cluster.writes_back:
                self._say("write", "no credential of its own: alerts are not copied into the cluster")
            elif access is Access.CANARY and not settings.CANARY_SECONDS:
                self._say("canary", "not needed: CASEWRIGHT_CANARY_SECONDS is 0")
            else:
                faults += self._rights(connection, access)
        return faults

    def _rights(self, connection: Any, access: Any) -> int:
        from detections.cluster_settings import has_its_own
        from detections.stores.elasticsearch import examining

        shared = "" if has_its_own(access) else " with a credential that is not its own"
        found = examining.rights(connection, access)
        if found.error:
            self._say(access.value, f"FAILED{shared}: {found.error}")
            return 1
        self._say(access.value, f"signed in as {found.user}{shared}")
        for title, given in (("may", found.granted), ("MAY NOT", found.missing), ("may too", found.beyond)):
            if given:
                self._say("", f"{title}: {'; '.join(given)}")
        if found.missing:
            self._say("", "Give it what `manage.py elasticsearch setup --print` prints.")
        if found.beyond:
            self._say("", "Take away what it may too: what is not needed can be stolen.")
        return len(found.missing)

    def _telemetry(self, connection: Any) -> int:
        from detections.stores.elasticsearch import examining

        named, faults = connection.cluster, 0
        for one in examining.matches(connection, named.patterns):
            shown = ", ".join(one.streams[:8]) + (", ..." if len(one.streams) > 8 else "")
            indices = "1 index" if one.indices == 1 else f"{one.indices} indices"
            said = f"{indices}: {shown}" if one.indices else "matches no index"
            self._say(one.pattern, one.error or said)
            faults += bool(one.error)
        if named.tiers_left_out:
            self._say("left out", f"tiers {', '.join(named.tiers_left_out)}: rules do not see events there")
        waits = examining.refresh_interval(connection, named.patterns)
        if waits and waits > timedelta(seconds=10):
            self._say(
                "refresh", f"documents wait {waits.total_seconds():.0f} s: give rules a longer settle time"
            )
        return faults

    def _clock(self, connection: Any) -> int:
        from detections.stores.elasticsearch import clock

        try:
            theirs = clock.time_of(connection, connection.cluster.patterns)
            if theirs is None:
                self._say("clock", "not told")
                return 0
            connection.note_clock(theirs)
            connection.require_one_clock()
        except StoreError as error:
            self._say("clock", f"FAILED: {error}")
            return 1
        # It tells whole seconds.
        seconds = round((theirs - datetime.now(UTC)).total_seconds())
        self._say("clock", f"{seconds:+d} s from ours" if abs(seconds) > 1 else "as ours")
        return 0

    def _trial(self, connection: Any) -> int:
        """The shipped rule over the last hour, as a run would search it."""
        from detections import trial_of_rule

        try:
            error, matches = trial_of_rule.in_cluster(connection)
        except StoreError as failed:
            error, matches = str(failed), 0
        found = "1 match" if matches == 1 else f"{matches} matches"
        self._say("shipped rule", f"FAILED: {error}" if error else f"runs; {found} in the last hour")
        return bool(error)

    def _say(self, name: str, text: str) -> None:
        self.stdout.write(f"{name:16} {text}")


def _on_one_line(found: re.Match[str]) -> str:
    return f"[{' '.join(found[1].split())}]"
