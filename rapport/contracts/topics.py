"""The catalogue: every topic declared once, with its key, its retention, its writers and what travels on it.

The local broker's topics and the Kubernetes `KafkaTopic` manifests come from here. Another partition count tears keys
from their state, so no process works with topics that have another count than its setting says.
"""

import zlib
from dataclasses import dataclass, field

import msgspec

from rapport import partitions

DAY_MS = 86_400_000
KEPT_DAYS = 90
"""An outage may last this long: records are kept for as long, processed or not."""


@dataclass(frozen=True)
class Topic:
    """A topic. `key` names the parts of its key in order; `types` the CloudEvents types that travel on it.

    `writers` and `readers` are the processes that may; whoever operates the installation may read and write all.
    """

    name: str
    key: tuple[str, ...]
    types: tuple[str, ...]
    writers: tuple[str, ...]
    readers: tuple[str, ...] = ()
    config: dict[str, str] = field(default_factory=dict)
    fixed: int | None = None
    """How many partitions it has in every installation. All others have as many as the installation says, so that
    partition p of all that the scorer reads, and of its changelogs, is with one worker."""

    @property
    def partitions(self) -> int:
        """How many partitions it has in this installation."""
        return self.fixed or partitions.of_installation()


def _kept(days: int) -> dict[str, str]:
    return {"cleanup.policy": "delete", "retention.ms": str(days * DAY_MS)}


# What the scorer reads is stamped by the broker: that time, not a producer's clock, moves the clock of a partition.
_LOG_TIME = {"message.timestamp.type": "LogAppendTime"}
TOMBSTONES_DAYS = 14
# Tombstones outlive any disk that may still hold the row they delete; older disks are wiped.
_COMPACTED = {"cleanup.policy": "compact", "delete.retention.ms": str(TOMBSTONES_DAYS * DAY_MS)}

CONVERSATIONS = Topic(
    name="rapport.conversations.v1",
    key=("brand", "platform", "conversation"),
    types=("rapport.interaction.v1", "rapport.tick.v1", "rapport.control.v1"),
    writers=("ingest", "scorer", "api", "projector"),
    readers=("scorer", "projector"),
    config={**_kept(KEPT_DAYS), **_LOG_TIME},
)
ENGAGEMENTS = Topic(
    name="rapport.engagements.v1",
    key=("brand", "platform", "follower"),
    types=("rapport.interaction.v1", "rapport.control.v1"),
    writers=("ingest",),
    readers=("scorer", "projector"),
    config={**_kept(KEPT_DAYS), **_LOG_TIME},
)
EXCHANGES = Topic(
    name="rapport.exchanges.v1",
    key=("brand", "platform", "follower"),
    types=("rapport.exchange.v1", "rapport.control.v1"),
    writers=("scorer",),
    readers=("scorer", "projector"),
    config={**_kept(KEPT_DAYS), **_LOG_TIME},
)
ALERTS = Topic(
    name="rapport.alerts.v1",
    key=("brand",),
    types=("rapport.alert.v1",),
    writers=("scorer",),
    readers=("notifier", "projector"),
    config=_kept(KEPT_DAYS),
)
REMINDERS = Topic(
    name="rapport.reminders.v1",
    key=("brand",),
    types=("rapport.missing-post.v1",),
    writers=("projector",),
    readers=("notifier",),
    config=_kept(KEPT_DAYS),
)
BRANDS = Topic(
    name="rapport.brands.v1",
    key=("brand",),
    types=("rapport.brand.v1",),
    writers=("api",),
    readers=("ingest", "notifier"),
    fixed=1,
    # Where an older record came last, the newer one stays until the brand is written again, which is daily.
    config={**_COMPACTED, "min.compaction.lag.ms": str(2 * DAY_MS)},
)

CURSORS = Topic(
    name="rapport.cursors.v1",
    key=("account", "what", "name"),
    types=("rapport.cursor.v1",),
    writers=("ingest",),
    readers=("ingest", "projector"),
    # Several ingest processes share the accounts by its partitions. Where an account lies must never change.
    fixed=12,
    config={**_COMPACTED, **_LOG_TIME, "min.compaction.lag.ms": str(2 * DAY_MS)},
)
INGEST_GROUP = "rapport-ingest"
ERRANDS = Topic(
    name="rapport.errands.v1",
    key=("brand",),
    types=("rapport.errand.v1",),
    writers=("api",),
    readers=("ingest", "projector"),
    # Whoever has the lease of a brand's accounts does its errands.
    fixed=CURSORS.fixed,
    config={**_kept(KEPT_DAYS), **_LOG_TIME},
)
CHARGES = Topic(
    name="rapport.charges.v1",
    key=("platform", "brand"),
    types=("rapport.charge.v1",),
    writers=("ingest",),
    readers=("projector",),
    # Each record costs money, so there will never be more than one partition takes.
    fixed=1,
    config={**_kept(KEPT_DAYS), **_LOG_TIME},
)

SCORER_GROUP = "rapport-scorer"
SCORER_APPLICATION = "rapport-1"
"""Begins the names of the scorer's transactions. Another name would not fence those of the workers before."""
EXCHANGES_CHANGELOG = Topic(
    name="rapport.scorer.exchanges.changelog.v1",
    key=("row",),
    types=("rapport.row.v1",),
    writers=("scorer",),
    readers=("scorer",),
    config={**_COMPACTED, **_LOG_TIME},
)
RELATIONSHIPS_CHANGELOG = Topic(
    name="rapport.scorer.relationships.changelog.v1",
    key=("row",),
    types=("rapport.row.v1",),
    writers=("scorer",),
    readers=("scorer", "projector"),
    config={**_COMPACTED, **_LOG_TIME},
)


def dead_letters(source: Topic, group: str, writer: str) -> Topic:
    """The topic for what `group` could not process of `source`: key, value and headers as they came, and the reason."""
    return Topic(
        name=f"{source.name}.{group}.dlt",
        key=source.key,
        types=source.types,
        writers=(writer,),
        fixed=source.fixed,
        config=_kept(KEPT_DAYS),
    )


CONVERSATIONS_DEAD = dead_letters(CONVERSATIONS, SCORER_GROUP, "scorer")
ENGAGEMENTS_DEAD = dead_letters(ENGAGEMENTS, SCORER_GROUP, "scorer")
EXCHANGES_DEAD = dead_letters(EXCHANGES, SCORER_GROUP, "scorer")
NOTIFIER_GROUP = "rapport-notifier"
ALERTS_DEAD = dead_letters(ALERTS, NOTIFIER_GROUP, "notifier")
REMINDERS_DEAD = dead_letters(REMINDERS, NOTIFIER_GROUP, "notifier")
PROJECTOR_GROUP = "rapport-projector"
CONVERSATIONS_UNSEEN = dead_letters(CONVERSATIONS, PROJECTOR_GROUP, "projector")
ENGAGEMENTS_UNSEEN = dead_letters(ENGAGEMENTS, PROJECTOR_GROUP, "projector")

DEAD_LETTERS = (
    CONVERSATIONS_DEAD,
    ENGAGEMENTS_DEAD,
    EXCHANGES_DEAD,
    ALERTS_DEAD,
    REMINDERS_DEAD,
    CONVERSATIONS_UNSEEN,
    ENGAGEMENTS_UNSEEN,
)

CATALOGUE: tuple[Topic, ...] = (
    CONVERSATIONS,
    ENGAGEMENTS,
    EXCHANGES,
    ALERTS,
    REMINDERS,
    BRANDS,
    CURSORS,
    ERRANDS,
    CHARGES,
    EXCHANGES_CHANGELOG,
    RELATIONSHIPS_CHANGELOG,
    *DEAD_LETTERS,
)


def key_of(*parts: str) -> bytes:
    """A record's key: its parts as a compact JSON array, so that no part can be mistaken for two."""
    return msgspec.json.encode(parts)


def partition_of(key: bytes, partitions: int) -> int:
    """The partition of a key, for every producer of ours: CRC-32 of the key, as librdkafka's `consistent` does it."""
    return zlib.crc32(key) % partitions
