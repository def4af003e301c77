"""A data folder that is its owner's alone, and the passwords that the local servers ask for."""

import contextlib
import os
import pwd
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TextIO

from rapport.kit.kafka_login import KafkaLogin
from rapport.local import line
from rapport.local.errors import StackError

UMASK = 0o077
FOLDER_MODE = 0o700
FILE_MODE = 0o600
OURS = frozenset(
    {
        *("kafka", "mongodb", "logs", "secrets", "ingest", "scorer", "faust"),
        *("admin_key", "ports.json", "stack.json", "stack.lock", "installation.json", "installation.lock"),
    }
)
"""What an installation keeps in its folder."""
KAFKA_USER = "rapport"
_PASSWORD_BYTES = 24


@dataclass(frozen=True)
class Passwords:
    """Made at the first start. Each is a file of its own in `secrets`, which mongod needs for its key anyway."""

    folder: Path

    def kafka(self) -> KafkaLogin:
        """The login of Kafka's clients; RAPPORT_KAFKA_USER and RAPPORT_KAFKA_PASSWORD at the first start, if given."""
        given = KafkaLogin()
        user = self._kept("kafka_user", given.user or KAFKA_USER)
        password = self._kept("kafka_password", given.password.get_secret_value() if given.password else _new())
        return KafkaLogin.of(user, password)

    def mongodb(self) -> str:
        """The password of MongoDB's user."""
        return self._kept("mongodb_password", _new())

    def mongodb_key(self) -> Path:
        """The file with the key that members of the replica set show each other; whoever has it may do everything."""
        self._kept("mongodb.key", _new())
        return self.folder / "mongodb.key"

    def _kept(self, name: str, new: str) -> str:
        file = self.folder / name
        with contextlib.suppress(FileNotFoundError):
            return file.read_text().strip()
        self.folder.mkdir(mode=FOLDER_MODE, exist_ok=True)
        line.write_private(file, new.encode())
        return new


def passwords(data: Path) -> Passwords:
    """Those of the servers in this folder."""
    return Passwords(data / "secrets")


def _new() -> str:
    return secrets.token_hex(_PASSWORD_BYTES)


def claim(data: Path) -> None:
    """Makes the folder if it is not there, and takes from everybody else what they may do with what is ours in it.

    Versions before this one left files that everybody could read, so what is there is mended too. A folder that also
    holds other things, such as a home, stays as open as it is: only what is ours in it is closed.
    Raises StackError where it cannot be made, or is another user's.
    """
    try:
        data.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        owner = data.stat().st_uid
        if owner != os.getuid():
            raise StackError(
                f"{data} belongs to {_name(owner)}, and you are {_name(os.getuid())}. "
                "Name a folder of your own with --data"
            )
        there = {path.name for path in data.iterdir()}
        if there <= OURS:
            _close(data)
        for name in there & OURS:
            _close(data / name)
            for folder, folders, files in os.walk(data / name):
                for inside in (*folders, *files):
                    _close(Path(folder, inside))
    except FileExistsError:
        raise StackError(f"{data} is a file, not a folder. Name another one with --data") from None
    except OSError as error:
        raise StackError(f"{data} cannot hold the data: {error.strerror}. Name another folder with --data") from None


def _close(path: Path) -> None:
    # Servers may be running on this folder, so files come and go meanwhile.
    with contextlib.suppress(FileNotFoundError):
        found = path.lstat().st_mode
        if not stat.S_ISLNK(found) and stat.S_IMODE(found) & UMASK:
            path.chmod(stat.S_IMODE(found) & ~UMASK)


def opened(path: Path, mode: Literal["a", "w"]) -> TextIO:
    """A file that is its owner's alone, should it have to be made."""
    return open(path, mode, encoding="utf-8", opener=lambda name, flags: os.open(name, flags, FILE_MODE))


def _name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"the user {user}"
