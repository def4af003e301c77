"""Checks servers that exist already, and creates the topics that they lack."""

import time
from collections.abc import Callable

from kafka import KafkaAdminClient
from kafka.errors import KafkaError
from pymongo.errors import PyMongoError

from rapport.contracts.topics import CATALOGUE
from rapport.kit import mongo as kit_mongo
from rapport.kit.broker import kafka as kit_kafka
from rapport.kit.broker import kafka_topics
from rapport.kit.broker.kafka_login import login
from rapport.local import ports
from rapport.local.errors import StackError

_WAIT_SECONDS = 10.0
_POLL_SECONDS = 0.2
_REPLICATION = 3
"""What the promises assume, if the cluster has that many brokers."""


def check_kafka(bootstrap: str, on_progress: Callable[[str], None]) -> None:
    """Returns when a broker has answered and has every topic of the catalogue. Raises StackError."""
    addresses = [_host_and_port(server.strip()) for server in bootstrap.split(",")]
    deadline = time.monotonic() + _WAIT_SECONDS
    on_progress(f"asking {bootstrap}")
    while not any(ports.answers(host, port) for host, port in addresses):
        if time.monotonic() > deadline:
            raise StackError(
                f"RAPPORT_KAFKA names {bootstrap}, but nothing accepted a connection there within "
                f"{_WAIT_SECONDS:.0f} s. Start that broker, or unset RAPPORT_KAFKA to have one started here."
            )
        time.sleep(_POLL_SECONDS)
    try:
        kafka_topics.create_topics(bootstrap, replication(bootstrap), CATALOGUE)
        kafka_topics.raise_settings(bootstrap, CATALOGUE)
    except (KafkaError, OSError) as error:
        raise StackError(
            f"RAPPORT_KAFKA names {bootstrap}; something listens there, but the topics could not be created: "
            f"{type(error).__name__}: {error}"
        ) from error


def replication(bootstrap: str) -> int:
    """How many replicas a new topic can have on this cluster, at most three. Raises KafkaError."""
    admin = KafkaAdminClient(bootstrap_servers=bootstrap.split(","), request_timeout_ms=kit_kafka.REQUEST_MS, **login())
    try:
        return min(_REPLICATION, len(admin.describe_cluster()["brokers"]))
    finally:
        admin.close()


def check_mongodb(uri: str) -> None:
    """Returns when a primary has answered. Raises StackError."""
    where = kit_mongo.shown(uri)
    try:
        with kit_mongo.client(uri) as client:
            hello = client.admin.command("hello")
    except PyMongoError as error:
        raise StackError(
            f"RAPPORT_MONGODB names {where}, but no primary answered there: {type(error).__name__}: {error}. "
            "Start that database, or unset RAPPORT_MONGODB to have one started here."
        ) from error
    if "setName" not in hello:
        raise StackError(
            f"RAPPORT_MONGODB names {where}, which is not a member of a replica set; "
            "start it with --replSet and initiate the set (one member is enough)."
        )


def _host_and_port(server: str) -> tuple[str, int]:
    host, _, port = server.rpartition(":")
    if not host or not port.isdigit():
        raise StackError(f"RAPPORT_KAFKA has {server!r}, which is not host:port")
    return host.strip("[]"), int(port)
