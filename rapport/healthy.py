"""Asks the service of this container whether it is alive, or ready: `python -m rapport.healthy [--ready]`.

It runs every few seconds beside each service, so it imports next to nothing: a subcommand of `rapport` takes four times
as much of the processor.
"""

import http.client
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from rapport.processes import PROCESSES

ANSWER_SECONDS = 4.0
"""Below the 5 s that the image and compose give the whole check."""
FIRST_PROCESS = Path("/proc/1/cmdline")


def main(arguments: Sequence[str], environment: Mapping[str, str], first_process: Path = FIRST_PROCESS) -> int:
    """0 if the service says so, else 1 with its reasons on stderr. The settings are those that the service has.

    `first_process` has the arguments of the container's first process, which is the service itself or its init.
    """
    running = first_process.read_bytes().decode(errors="replace").split("\0")
    process = next((process for process in PROCESSES if process.name in running), None)
    if process is None:
        return _said("no service of Rapport runs here")
    port = environment.get("RAPPORT_INTERNAL_PORT" if process.internal_port else "RAPPORT_PORT") or process.probed
    # A service that listens on all addresses is reached by that name too.
    host = environment.get("RAPPORT_HOST") or "127.0.0.1"
    try:
        connection = http.client.HTTPConnection(host, int(port), timeout=ANSWER_SECONDS)
        connection.request("GET", "/readyz" if "--ready" in arguments else "/healthz")
        answer = connection.getresponse()
        reasons = answer.read(1000).decode(errors="replace").strip()
    except (OSError, ValueError, http.client.HTTPException) as error:
        return _said(f"{process.name} does not answer at {host}:{port}: {error}")
    return 0 if answer.status == http.HTTPStatus.OK else _said(f"{process.name}: {reasons}")


def _said(reason: str) -> int:
    sys.stderr.write(f"{reason}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
