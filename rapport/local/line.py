"""What runs on a folder, as `rapport up --json` prints it and `rapport status` finds it again."""

import os
from pathlib import Path

import msgspec

from rapport.kit.kafka_login import KafkaLogin
from rapport.local import child
from rapport.local.child import Child

_FILE = "installation.json"


class Line(msgspec.Struct, frozen=True):
    """An installation that runs."""

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
    """What Kafka asks for, if anything. MongoDB's are in its address."""
    breach_grace_seconds: float | None = None
    """The scorer's; None where it is the usual one. Whoever recomputes its breaches has to know it."""

    def exports(self) -> str:
        """What a shell needs so that `rapport` and the examples of docs/connect.md work with this installation."""
        values = {"RAPPORT_API_URL": self.api, "RAPPORT_DOOR_URL": self.ingest, "RAPPORT_KEY": self.admin_key}
        return "export " + " ".join(f"{name}={value}" for name, value in values.items())

    def kafka_login(self) -> KafkaLogin:
        """The login of Kafka's clients."""
        return KafkaLogin.of(self.kafka_user, self.kafka_password)


class _State(msgspec.Struct):
    owner: tuple[int, str]
    line: Line


def status(data: Path) -> Line | None:
    """The installation that runs on this folder, or None. A service that is being started again has no pid in it."""
    try:
        state = msgspec.json.decode((data / _FILE).read_bytes(), type=_State)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
    return state.line if Child(*state.owner).alive() else None


def note(data: Path, line: Line) -> None:
    """Lets `status` find this, for as long as this process runs."""
    us = child.this_process()
    write_private(data / _FILE, msgspec.json.encode(_State((us.pid, us.born), line)))


def forget(data: Path) -> None:
    """Lets `status` find nothing."""
    (data / _FILE).unlink(missing_ok=True)


def write_private(file: Path, content: bytes) -> None:
    """Writes a whole file, at once, that only its owner may read."""
    whole = file.with_suffix(".new")
    whole.unlink(missing_ok=True)
    with os.fdopen(os.open(whole, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
        stream.write(content)
    whole.replace(file)
