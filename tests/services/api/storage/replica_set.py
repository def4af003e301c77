"""A replica set of a test's own: one member, or two with data and an arbiter."""

import os
import signal
from pathlib import Path

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from rapport.kit import mongo
from rapport.kit.mongo import Document
from rapport.local import child, ports
from rapport.local.servers.mongod import REPLICA_SET, Mongod
from tests.waiting import until


class ReplicaSet:
    """Its first member is the primary as long as it is there."""

    def __init__(self, folder: Path, *, members: int) -> None:
        """`members` is one, or three: a primary, a second member with data, and an arbiter."""
        self._folder = folder
        self._ports = [ports.usual_or_free(0) for _ in range(members)]
        self._processes = [self._start(number) for number in range(members)]
        names = [f"{ports.LOOPBACK}:{port}" for port in self._ports]
        self.uri = f"mongodb://{','.join(names)}/?replicaSet={REPLICA_SET}"
        its: list[Document] = [
            {"_id": number, "host": name, **({"arbiterOnly": True} if number == 2 else {"priority": 2 - number})}
            for number, name in enumerate(names)
        ]

        def initiated() -> bool:
            with self.member(0) as client:
                try:
                    client.admin.command("replSetInitiate", {"_id": REPLICA_SET, "members": its})
                except PyMongoError as error:
                    return "already initialized" in str(error)
                return True

        until(initiated, "the replica set is made", 90)
        until(self.is_confirming, "the members have what the first wrote", 90)

    def _start(self, number: int) -> child.Child:
        data = self._folder / str(number)
        data.mkdir(exist_ok=True)
        command = [
            Mongod(self._folder).command(self._ports[number])[0],
            *("--bind_ip", ports.LOOPBACK, "--port", str(self._ports[number]), "--nounixsocket"),
            *("--dbpath", str(data), "--replSet", REPLICA_SET, "--wiredTigerCacheSizeGB", "0.25"),
            *("--oplogSize", "50", "--setParameter", "diagnosticDataCollectionEnabled=false"),
        ]
        return child.start(command, self._folder / f"{number}.log", os.environ, signal.SIGKILL)

    def member(self, number: int) -> MongoClient[Document]:
        """A client that asks one member, whatever it is."""
        return MongoClient(f"{ports.LOOPBACK}:{self._ports[number]}", directConnection=True, tz_aware=True)

    def is_confirming(self) -> bool:
        """Whether a majority of the members with data have a write."""
        with mongo.client(self.uri) as client:
            try:
                client["admin_test"]["written"].insert_one({})
            except PyMongoError:
                return False
            return True

    def lose(self, number: int) -> None:
        """Kills a member."""
        self._processes[number].send(signal.SIGKILL)
        assert child.ended([self._processes[number]], 30)

    def find(self, number: int) -> None:
        """Starts it again."""
        self._processes[number] = self._start(number)

    def end(self) -> None:
        """Ends all."""
        for process in self._processes:
            process.send(signal.SIGKILL)
        assert child.ended(self._processes, 30)
