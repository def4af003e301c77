"""The services of the image in containers, as an installation has them, beside a local Kafka and MongoDB."""

import subprocess
from pathlib import Path
from typing import Any

import httpx

from rapport.local import ports
from rapport.local.servers.stack import Running
from rapport.processes import Process
from tests.image.engine import CommandError, Engine
from tests.services.ingest.service import tell
from tests.waiting import until

ADMIN_KEY = "rp_test_admin_" + "0123456789abcdef" * 4
USER = "10001"
LIMITS = (
    *("--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL"),
    *("--security-opt", "no-new-privileges", "--network", "host"),
)
"""As strict as docker-compose.yml and Kubernetes; the network is this machine's, where the servers are."""


class ImageInstallation:
    """One container for each process."""

    def __init__(self, engine: Engine, image: str, servers: Running) -> None:
        self._engine = engine
        self._image = image
        self._servers = {
            "RAPPORT_KAFKA": servers.kafka,
            "RAPPORT_MONGODB": servers.mongodb,
            **servers.kafka_login().variables(),
        }
        self._port: dict[str, int] = {}
        self._probed: dict[str, int] = {}

    def command(self, *arguments: str) -> str:
        """What one command of `rapport` prints, in a container of its own. Raises CommandError."""
        return self._engine.docker("run", "--rm", *LIMITS, *_variables(self._servers), self._image, *arguments)

    def start(self, process: Process) -> None:
        """Starts a service. Raises CommandError."""
        name = process.name
        # Taken only now, so that no other program has long to take them first.
        self._port[name] = ports.usual_or_free(0)
        self._probed[name] = ports.usual_or_free(0) if process.internal_port else self._port[name]
        settings = {
            **self._servers,
            "RAPPORT_PORT": str(self._port[name]),
            "RAPPORT_INTERNAL_PORT": str(self._probed[name]),
            "RAPPORT_ADMIN_KEY": ADMIN_KEY,
        }
        # A volume takes over the owner of the image's folder, as compose's do.
        data = ["--volume", f"{name}:/data"] if "RAPPORT_DATA" in process.settings else []
        options = ["--detach", "--name", name, "--health-interval", "2s", *LIMITS, *data, *_variables(settings)]
        self._engine.docker("run", *options, self._image, name)

    def until_ready(self, process: Process) -> None:
        """Waits until the service says so itself, to the image's own command, and Docker calls it healthy."""
        runs = ("inspect", "--format", "{{.State.Running}}", process.name)
        ask = ("exec", process.name, "python", "-m", "rapport.healthy", "--ready")
        until(
            lambda: self._refusal(*ask) is None or self._engine.docker(*runs) == "false",
            lambda: f"{process.name} is ready: {self.log(process)}",
        )
        assert self._engine.docker(*runs) == "true", f"{process.name} ended: {self.log(process)}"
        status = ("inspect", "--format", "{{.State.Health.Status}}", process.name)
        until(lambda: self._engine.docker(*status) == "healthy", lambda: f"{process.name} is healthy")

    def check_confined(self, process: Process) -> None:
        """Holds what the kernel says about the process against what was asked for."""
        pid = self._engine.docker("inspect", "--format", "{{.State.Pid}}", process.name)
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        status = {name: value.split() for name, _, value in (line.partition(":") for line in lines)}
        assert status["Uid"] == [USER] * 4, status["Uid"]
        assert status["Gid"] == [USER] * 4, status["Gid"]
        for held in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            assert int(status[held][0], 16) == 0, f"{process.name} has {held} {status[held][0]}"
        assert status["NoNewPrivs"] == ["1"], f"{process.name} may gain privileges"
        # As root, whom only the file system itself keeps from it.
        write = ("exec", "--user", "0", process.name, "python", "-c", "open('/opt/rapport/new', 'w')")
        assert "Read-only file system" in (self._refusal(*write) or ""), f"{process.name} can change its own program"

    def open_exchange(self) -> str:
        """Signs a comment, sends it to the door, and waits for its exchange in the API. Returns the exchange's id."""
        headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
        address = f"http://{ports.LOOPBACK}:{self._port['api']}/v1"
        with httpx.Client(base_url=address, headers=headers, timeout=30) as api:

            def asked(verb: str, path: str, body: Any = None) -> Any:
                answer = api.request(verb, path, json=body)
                assert answer.is_success, answer.text
                return answer.json()

            asked("POST", "/brands", {"id": "acme", "name": "Acme", "timezone": "UTC"})
            desk = {"id": "acme-help", "platform": "helpdesk", "handle": "Help desk"}
            secret = asked("POST", "/brands/acme/accounts", desk)["door_secret"]
            comment = {"id": "1", "kind": "message", "actor": {"id": "bo"}, "text": "Broken!", "conversation": "t1"}
            until(lambda: self._told(secret, comment), "the door knows the account")
            until(lambda: asked("GET", "/brands/acme/exchanges")["items"], "the API has the exchange")
            (exchange,) = asked("GET", "/brands/acme/exchanges")["items"]
        assert (exchange["state"], exchange["first"]["text"]) == ("open", "Broken!"), exchange
        return str(exchange["id"])

    def end(self, process: Process) -> None:
        """Asks the service to end, which it must do by itself and without an error."""
        self._engine.docker("stop", "--time", "60", process.name)
        code = self._engine.docker("inspect", "--format", "{{.State.ExitCode}}", process.name)
        assert code == "0", f"{process.name} ended with {code}: {self.log(process)}"

    def log(self, process: Process) -> str:
        """The end of what the service said."""
        return self._engine.docker("logs", "--tail", "15", process.name, errors=subprocess.STDOUT)

    def remove(self) -> None:
        """Removes every container, however far it got."""
        if left := self._engine.docker("ps", "--all", "--quiet").split():
            self._engine.docker("rm", "--force", "--volumes", *left)

    def _told(self, secret: str, interaction: dict[str, Any]) -> bool:
        door = f"http://{ports.LOOPBACK}:{self._port['ingest']}"
        return tell(door, "acme-help", secret, interaction).status_code == 202

    def _refusal(self, *arguments: str) -> str | None:
        """Why a command of the engine fails; None if it does not."""
        try:
            self._engine.docker(*arguments)
        except CommandError as error:
            return str(error)
        return None


def _variables(settings: dict[str, str]) -> list[str]:
    return [part for name, value in settings.items() for part in ("--env", f"{name}={value}")]
