"""A program of one's own on the worker: fixed arguments, the order as JSON on its input, no shell."""

import json
import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.conf import settings

from triage.actions.adapter import ConnectorFaultError, Unasked, adapter
from triage.actions.outcomes import Order, Outcome, Result

_SHOWN = 2000


@adapter("command")
class Command(Unasked):
    label = "Command"
    fields: Mapping[str, str] = {
        "program": "name of a program in CASEWRIGHT_COMMANDS_DIR",
        "arguments": "list of fixed arguments",
        "seconds": "time limit, 60 if empty",
    }
    secrets: Mapping[str, str] = {}
    kinds: frozenset[str] = frozenset()

    def __init__(self, config: Mapping[str, Any], secrets: Mapping[str, str]) -> None:
        self.program = str(config.get("program", ""))
        given = config.get("arguments") or []
        self.arguments = [str(argument) for argument in given] if isinstance(given, list) else []
        self.seconds = float(config.get("seconds") or 60)

    def send(self, order: Order) -> Outcome:
        try:
            path = self._path()
        except ConnectorFaultError as error:
            return Outcome(Result.FAILED, str(error))
        return self._run(path, json.dumps(order.as_json(), ensure_ascii=True).encode())

    def test(self) -> Outcome:
        try:
            return Outcome(Result.DONE, f"{self._path()} is there and may be run. It was not run.")
        except ConnectorFaultError as error:
            return Outcome(Result.FAILED, str(error))

    def _path(self) -> Path:
        if not settings.COMMANDS_DIR:
            raise ConnectorFaultError(
                "Commands are off here: the operator names a folder in CASEWRIGHT_COMMANDS_DIR."
            )
        folder = Path(settings.COMMANDS_DIR).resolve()
        path = (folder / self.program).resolve()
        if not self.program or path.parent != folder or Path(self.program).name != self.program:
            raise ConnectorFaultError(f"{self.program!r} is no program of {folder}.")
        if not path.is_file() or not os.access(path, os.X_OK):
            raise ConnectorFaultError(f"{path} is not there, or may not be run.")
        return path

    def _run(self, path: Path, order: bytes) -> Outcome:
        try:
            process = subprocess.Popen(  # noqa: S603 -- a listed program, fixed arguments, no shell
                [str(path), *self.arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env={"PATH": os.defpath, "LC_ALL": "C.UTF-8"},
                cwd=path.parent,
                start_new_session=True,
            )
        except OSError as error:
            return Outcome(Result.FAILED, f"{path} could not be started ({error.strerror}).")
        try:
            printed, _none = process.communicate(order, timeout=self.seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return Outcome(
                Result.UNKNOWN, f"{path.name} was ended after {self.seconds:g} s: it may have done its work."
            )
        text = printed.decode("utf-8", "replace").strip()[:_SHOWN]
        output = {"exit": process.returncode, "printed": text}
        if process.returncode:
            return Outcome(Result.FAILED, f"{path.name} ended with {process.returncode}.", output=output)
        return Outcome(Result.DONE, f"{path.name} ended well.", output=output)
