#!/usr/bin/env python
"""Casewright's command line."""

import os
import sys

# These search files alone: without the applications, the database and Celery they start in half the time.
WITHOUT_SETUP = ("hunt", "eql")


def main() -> None:
    if needs_setup(sys.argv):
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
        from django.core.management import execute_from_command_line

        execute_from_command_line(sys.argv)
    else:
        from importlib import import_module

        import_module(f"detections.management.commands.{sys.argv[1]}").Command().run_from_argv(sys.argv)


def needs_setup(arguments: list[str]) -> bool:
    """Whether a command needs Django's applications: all do but hunts, which do for `--open-cases`."""
    # An option may be written by any of its beginnings.
    return arguments[1:2] not in [[name] for name in WITHOUT_SETUP] or any(
        argument.startswith("--o") for argument in arguments
    )


if __name__ == "__main__":
    main()
