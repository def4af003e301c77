"""Every process of the list, started by its own command."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx

from rapport.local import ports
from rapport.processes import PROCESSES, Process

ADMIN_KEY = "rp_test_admin_" + "0123456789abcdef" * 4


@dataclass
class Service:
    """One process of the installation, as its supervisor sees it."""

    process: Process
    environment: dict[str, str]
    log: Path
    url: str
    probes: str
    running: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.running = subprocess.Popen(
                [sys.executable, "-m", "rapport.cli", self.process.name], env=self.environment, stderr=log, stdout=log
            )

    def send(self, number: signal.Signals) -> None:
        assert self.running is not None
        self.running.send_signal(number)

    def ended(self) -> int | None:
        assert self.running is not None
        return self.running.poll()

    def end(self) -> None:
        if self.running is not None:
            self.running.send_signal(signal.SIGCONT)
            self.running.kill()
            self.running.wait()

    def says(self) -> tuple[int, str]:
        """Status and text of `/readyz`; 0 where nothing answers."""
        try:
            answer = httpx.get(f"{self.probes}/readyz", timeout=5)
        except httpx.TransportError as error:
            return 0, repr(error)
        return answer.status_code, answer.text.strip()

    def says_no(self, word: str) -> bool:
        status, text = self.says()
        return status == 503 and word in text


def planned(folder: Path, variables: Mapping[str, Mapping[str, str]]) -> list[Service]:
    """Every process at free ports, to be started; `variables` of each by its name."""
    services = []
    for process in PROCESSES:
        port, internal = ports.usual_or_free(0), ports.usual_or_free(0)
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("RAPPORT_")},
            "RAPPORT_PORT": str(port),
            "RAPPORT_INTERNAL_PORT": str(internal),
            "RAPPORT_DATA": str(folder / process.name),
            "RAPPORT_ADMIN_KEY": ADMIN_KEY,
            # Tests ask nobody outside of this machine.
            "RAPPORT_PLC_DIRECTORY": "http://127.0.0.1:1",
            **variables[process.name],
        }
        probes = f"http://127.0.0.1:{internal if process.internal_port else port}"
        log = folder / f"{process.name}.log"
        services.append(Service(process, environment, log, f"http://127.0.0.1:{port}", probes))
    return services
