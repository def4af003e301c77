"""The installation that runs on a data folder, as `rapport up --json` prints it and `rapport status` finds it."""

from pathlib import Path

import msgspec

from rapport.kit.broker.kafka_login import KafkaLogin
from rapport.local import child, private_files
from rapport.local.child import Child

_FILE = "installation.json"


class RunningInstallation(msgspec.Struct, frozen=True):
    """Its addresses, its key and its processes."""

    api: str
    ingest: str
    portal: str
    kafka: str
    mongodb: str
    admin_key: str
    pids: dict[str, int]
    """By service; `kafka` and `mongodb` where the installation started them."""
    internal: dict[str, str] = {}
    """Where each service has its probes and metrics."""
    kafka_user: str | None = None
    kafka_password: str | None = None
    """Kafka's login, if it asks for one. MongoDB's is in its address."""
    breach_grace_seconds: float | None = None
    """The scorer's setting; None for the default. Whoever recomputes its breaches has to know it."""

    def exports(self) -> str:
        """What a shell needs so that `rapport` and the examples of docs/connect.md work with this installation."""
        values = {"RAPPORT_API_URL": self.api, "RAPPORT_DOOR_URL": self.ingest, "RAPPORT_KEY": self.admin_key}
        return "export " + " ".join(f"{name}={value}" for name, value in values.items())

    def kafka_login(self) -> KafkaLogin:
        """The login that Kafka's clients need."""
        return KafkaLogin.of(self.kafka_user, self.kafka_password)


class _State(msgspec.Struct):
    owner: tuple[int, str]
    line: RunningInstallation


def status(data: Path) -> RunningInstallation | None:
    """The installation that runs on this folder, if any. A service that is just being restarted has no pid in it."""
    try:
        state = msgspec.json.decode((data / _FILE).read_bytes(), type=_State)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
    return state.line if Child(*state.owner).alive() else None


def note(data: Path, running: RunningInstallation) -> None:
    """Lets `status` find it for as long as this process runs."""
    us = child.this_process()
    private_files.write_private(data / _FILE, msgspec.json.encode(_State((us.pid, us.born), running)))


def forget(data: Path) -> None:
    """Lets `status` find nothing."""
    (data / _FILE).unlink(missing_ok=True)
