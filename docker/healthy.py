"""Whether the process of this container does its work: `healthy.py web|worker|beat`. Ends with 1 if not."""

import http.client
import os
import socket
import subprocess
import sys

PORT = int(os.environ.get("CASEWRIGHT_PORT", "8000"))


def web() -> bool:
    """The server answers. Any answer below 500 will do: a name that is not allowed gets a 400 from a server
    in good health."""
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=5)
    try:
        connection.request("HEAD", "/healthz")
        return connection.getresponse().status < 500
    except (OSError, http.client.HTTPException):
        return False


def celery(name: str) -> bool:
    """The process answers over the broker, so that neither it nor the broker hangs."""
    node = os.environ.get("CELERY_NODE") or f"{name}@{socket.gethostname()}"
    asked = ["celery", "--app", "config", "inspect", "ping", "--destination", node, "--timeout", "10"]
    done = subprocess.run(asked, capture_output=True, check=False, timeout=18)  # noqa: S603 -- fixed words
    return done.returncode == 0


def main(kind: str) -> int:
    healthy = {"web": web, "worker": lambda: celery("celery"), "beat": lambda: celery("celerybeat")}[kind]()
    return 0 if healthy else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "web"))
