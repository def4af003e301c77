"""The passwords that the local servers ask for."""

import contextlib
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from rapport.kit.broker.kafka_login import KafkaLogin
from rapport.kit.sealing import new_key
from rapport.local import private_files

KAFKA_USER = "rapport"
_PASSWORD_BYTES = 24


@dataclass(frozen=True)
class Passwords:
    """Made at the first start. Each is a file of its own in `folder`; mongod needs its key as a file anyway."""

    folder: Path

    @classmethod
    def of(cls, data: Path) -> Self:
        """Those of the servers in a data folder."""
        return cls(data / "secrets")

    def kafka(self) -> KafkaLogin:
        """The login of Kafka's clients; RAPPORT_KAFKA_USER and RAPPORT_KAFKA_PASSWORD at the first start, if given."""
        given = KafkaLogin()
        user = self._kept("kafka_user", given.kafka_user or KAFKA_USER)
        secret = given.kafka_password
        password = self._kept("kafka_password", secret.get_secret_value() if secret else _new())
        return KafkaLogin.of(user, password)

    def mongodb(self) -> str:
        """The password of MongoDB's user."""
        return self._kept("mongodb_password", _new())

    def mongodb_key(self) -> Path:
        """The file with the key that members of the replica set show each other. Whoever has it may do everything."""
        self._kept("mongodb.key", _new())
        return self.folder / "mongodb.key"

    def sealing_keys(self) -> Path:
        """The file with the keys that secrets are sealed with."""
        self._kept("sealing.keys", f"{new_key('first')}\n")  # so that a further line can be added
        return self.folder / "sealing.keys"

    def _kept(self, name: str, new: str) -> str:
        file = self.folder / name
        with contextlib.suppress(FileNotFoundError):
            return file.read_text().strip()
        self.folder.mkdir(mode=private_files.FOLDER_MODE, exist_ok=True)
        private_files.write_private(file, new.encode())
        return new


def _new() -> str:
    return secrets.token_hex(_PASSWORD_BYTES)
