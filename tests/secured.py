"""A Kafka and a MongoDB as an agency has them: TLS, SCRAM, and rights for each user."""

import os
import secrets
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import trustme
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from kafka import KafkaAdminClient
from kafka.admin import (
    ACL,
    ACLPermissionType,
    ACLResourcePatternType,
    ResourcePattern,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from kafka.errors import KafkaError
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from rapport.contracts.topics import CATALOGUE
from rapport.kit.broker import kafka_topics
from rapport.kit.broker.kafka_login import login
from rapport.local import child, ports
from rapport.local.servers.broker import Broker
from rapport.local.servers.mongod import REPLICA_SET, Mongod
from services.doctor.rights import Grant, needed
from tests.waiting import until

MECHANISM = "SCRAM-SHA-512"


class SecuredKafka:
    """One broker with the catalogue's topics, a user for each name given, and an authority of its own.

    Besides the listener that the users come in at, it has the one of any local broker, for its administration.
    """

    def __init__(self, folder: Path, authority: trustme.CA, users: Iterable[str]) -> None:
        self.passwords = {user: secrets.token_hex(12) for user in users}
        self.ca = authority_file(authority, folder)
        port, controller, secure = (ports.usual_or_free(0) for _ in range(3))
        self.admin_address = f"{ports.LOOPBACK}:{port}"
        self.kafka = f"{ports.LOOPBACK}:{secure}"
        broker = Broker(folder)
        command = broker.command(port, controller, lambda _: None)
        listeners = f"CLIENT://{self.admin_address},SECURE://{self.kafka}"
        settings = {
            "listeners": f"{listeners},CONTROLLER://{ports.LOOPBACK}:{controller}",
            "advertised.listeners": listeners,
            "listener.security.protocol.map": "CLIENT:SASL_PLAINTEXT,SECURE:SASL_SSL,CONTROLLER:SASL_PLAINTEXT",
            "listener.name.secure.sasl.enabled.mechanisms": MECHANISM,
            f"listener.name.secure.{MECHANISM.lower()}.sasl.jaas.config": (
                "org.apache.kafka.common.security.scram.ScramLoginModule required;"
            ),
            "listener.name.secure.ssl.keystore.type": "PEM",
            "listener.name.secure.ssl.keystore.location": str(_certificate(authority, folder / "broker.pem")),
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": f"User:{os.environ['RAPPORT_KAFKA_USER']}",
        }
        with Path(command[-1]).open("a") as properties:
            properties.writelines(f"{name}={value}\n" for name, value in settings.items())
        self._process = child.start(command, broker.log, os.environ, signal.SIGKILL)
        until(
            lambda: self._process.listens(secure), lambda: f"the broker listens: {broker.log.read_text()[-2000:]}", 90
        )
        until(self._answers, "the broker answers", 90)
        self._admit()

    def _answers(self) -> bool:
        try:
            kafka_topics.create_topics(self.admin_address, 1, CATALOGUE)
            return not kafka_topics.missing_topics(self.admin_address, CATALOGUE)
        except (KafkaError, OSError):
            return False

    def _admit(self) -> None:
        admin = KafkaAdminClient(bootstrap_servers=self.admin_address, **login())
        try:
            told = admin.alter_user_scram_credentials(
                [
                    UserScramCredentialUpsertion(user, ScramMechanism.SCRAM_SHA_512, password)
                    for user, password in self.passwords.items()
                ]
            )
            assert set(told.values()) == {None}, told
            made = admin.create_acls([each for user in self.passwords for each in _acls(user, needed(user))])
            assert not made["failed"], made
        finally:
            admin.close()

    @contextmanager
    def changed(self, user: str, lose: Grant, gain: Grant) -> Iterator[None]:
        """Meanwhile a user has one right less, and one more."""
        admin = KafkaAdminClient(bootstrap_servers=self.admin_address, **login())
        try:
            admin.delete_acls(_acls(user, [lose]))
            admin.create_acls(_acls(user, [gain]))
            yield
            admin.delete_acls(_acls(user, [gain]))
            admin.create_acls(_acls(user, [lose]))
        finally:
            admin.close()

    def variables(self, user: str) -> dict[str, str]:
        """The settings with which a process comes in as this user."""
        return {
            "RAPPORT_KAFKA": self.kafka,
            "RAPPORT_KAFKA_USER": user,
            "RAPPORT_KAFKA_PASSWORD": self.passwords[user],
            "RAPPORT_KAFKA_MECHANISM": MECHANISM,
            "RAPPORT_KAFKA_TLS": "true",
            "RAPPORT_KAFKA_CA": str(self.ca),
        }

    def end(self) -> None:
        """Ends it."""
        self._process.send(signal.SIGKILL)
        assert child.ended([self._process], 30)


class SecuredMongoDB:
    """A replica set of one, which speaks TLS alone."""

    def __init__(self, folder: Path, authority: trustme.CA) -> None:
        port = ports.usual_or_free(0)
        address, ca = f"{ports.LOOPBACK}:{port}", authority_file(authority, folder)
        data = folder / "data"
        data.mkdir()
        log = folder / "mongod.log"
        command = [
            Mongod(folder).command(port)[0],
            *("--bind_ip", ports.LOOPBACK, "--port", str(port), "--nounixsocket", "--dbpath", str(data)),
            *("--replSet", REPLICA_SET, "--wiredTigerCacheSizeGB", "0.25"),
            *(
                "--tlsMode",
                "requireTLS",
                "--tlsCertificateKeyFile",
                str(_certificate(authority, folder / "mongod.pem")),
            ),
            *("--tlsCAFile", str(ca), "--tlsAllowConnectionsWithoutCertificates"),
        ]
        self.plain = f"mongodb://{address}/?replicaSet={REPLICA_SET}"
        self.uri = f"{self.plain}&tls=true&tlsCAFile={ca}"
        self._process = child.start(command, log, os.environ, signal.SIGKILL)

        def primary() -> bool:
            with MongoClient[dict[str, object]](address, directConnection=True, tls=True, tlsCAFile=str(ca)) as client:
                try:
                    hello = client.admin.command("hello")
                    if not hello.get("setName"):
                        members = [{"_id": 0, "host": address}]
                        client.admin.command("replSetInitiate", {"_id": REPLICA_SET, "members": members})
                except PyMongoError:
                    return False
                return bool(hello.get("isWritablePrimary"))

        until(primary, lambda: f"it takes writes: {log.read_text()[-2000:]}", 90)

    def end(self) -> None:
        """Ends it."""
        self._process.send(signal.SIGKILL)
        assert child.ended([self._process], 30)


def authority_file(authority: trustme.CA, folder: Path) -> Path:
    """The authority's own certificate, as clients need it."""
    path = folder / "ca.crt"
    authority.cert_pem.write_to_path(str(path))
    return path


def _certificate(authority: trustme.CA, path: Path) -> Path:
    """A file with a key and a certificate for this machine; Kafka takes keys as PKCS 8 alone."""
    made = authority.issue_cert(ports.LOOPBACK)
    key = load_pem_private_key(made.private_key_pem.bytes(), None)
    text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(text + b"".join(each.bytes() for each in made.cert_chain_pems))
    return path


def _acls(user: str, grants: Iterable[Grant]) -> list[ACL]:
    return [
        ACL(
            principal=f"User:{user}",
            host="*",
            operation=each.operation,
            permission_type=ACLPermissionType.ALLOW,
            resource_pattern=ResourcePattern(
                each.kind, each.name, ACLResourcePatternType.PREFIXED if each.prefix else ACLResourcePatternType.LITERAL
            ),
        )
        for each in grants
    ]
