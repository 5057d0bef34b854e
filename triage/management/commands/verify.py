"""`manage.py verify`: is everything as it was written down, here or in a case pack?"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from triage import verification
from triage.models import Case, CasePack
from triage.preserve import pack_verifier


class Command(BaseCommand):
    help = (
        "Check the chain of the journal, hashes of evidence and files, approvals, and that cases stand as "
        "their journal says: one case, a case pack, or everything. A line a finding; ends with 1 if there "
        "is one."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "case",
            nargs="?",
            metavar="CASE|PACK",
            help="CW-12 or 12, or the path of a case pack; everything without it",
        )
        parser.add_argument("--all", action="store_true", help="everything, as without a case")

    def handle(self, *_args: Any, **options: Any) -> None:
        if options["case"] and options["all"]:
            raise CommandError("Name a case, or --all, not both.")
        number = 0
        for fault in self._faults(options["case"] or ""):
            number += 1
            self.stdout.write(fault)
        if number:
            raise CommandError(f"{number} {'finding' if number == 1 else 'findings'}.")
        self.stdout.write(f"{options['case'] or 'Everything'} is as it was written down.")

    def _faults(self, named: str) -> Iterator[str]:
        if not named:
            return verification.verify_all()
        if named.lower().endswith(".zip") or Path(named).exists():
            return self._of_pack(Path(named))
        found = re.fullmatch(r"(?:CW-)?([0-9]{1,18})", named.strip().upper())
        case = Case.objects.filter(pk=int(found[1])).first() if found else None
        if case is None:
            raise CommandError(f"There is no case {named}. Write its number, such as CW-12.")
        return verification.verify_case(case)

    def _of_pack(self, path: Path) -> Iterator[str]:
        """What the pack's own verifier finds, and whether it is a pack that was made here."""
        try:
            yield from pack_verifier.Check(pack_verifier.opened(path)).faults()
        except pack_verifier.UnreadableError as error:
            raise CommandError(str(error)) from error
        if not path.is_file():
            return
        sha256 = pack_verifier.file_sha256(path)
        pack = CasePack.objects.filter(sha256=sha256).select_related("case").first()
        if pack is None:
            self.stdout.write(f"No pack with SHA-256 {sha256} was made here.")
        else:
            self.stdout.write(f"It is pack {pack.number} of {pack.case.number}, made here, byte for byte.")
