"""Runs a program and ends it once the supervisor is gone: `python -m config.guard PROGRAM ARGUMENT...`

The supervisor holds the other end of this process's standard input, and that end closes when the supervisor
dies, however it dies. On Linux the kernel does this work (see config.supervisor); this is for other systems.
"""

import os
import signal
import subprocess
import sys
import threading

GRACE_SECONDS = 5


def _end_with_supervisor(program: "subprocess.Popen[bytes]") -> None:
    while os.read(0, 1024):
        pass
    program.terminate()
    try:
        program.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        program.kill()


def main(command: list[str]) -> int:
    """Run the command, hand it the signals to stop, and return its exit status."""
    program = subprocess.Popen(command, stdin=subprocess.DEVNULL)  # noqa: S603 -- the supervisor's own command
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _frame: program.send_signal(received))
    threading.Thread(target=_end_with_supervisor, args=(program,), daemon=True).start()
    return program.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
