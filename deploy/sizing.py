"""How large an installation has to be: `python -m deploy.sizing` prints the tables of docs/sizing.md.

What was measured comes from `bench/figures.json`. Everything else is an assumption below, with its reason.
"""

import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from bench.kept import figures_kept
from rapport.contracts.topics import KEPT_DAYS

DAY_SECONDS = 86_400
GB = 1e9
PROCESSES = ("ingest", "scorer", "projector", "notifier", "api")


@dataclass(frozen=True)
class Assumption:
    """A number that was not measured."""

    value: float
    reason: str


FOLLOWERS_PER_BRAND = Assumption(
    25_000, "50 million followers over 2,000 brands. A small brand has fewer, a large one many times more"
)
INTERACTIONS_PER_FOLLOWER_DAY = Assumption(
    0.05, "Each follower does something every 20 days. Take your own number from the door's metrics after a week"
)
PEAK = Assumption(10, "A campaign, or one viral post: ten times the day's mean, for hours")
QUESTIONS = Assumption(
    0.5, "Half of the interactions are comments, mentions and messages, as in the mix that was measured"
)
OPEN_DAYS = Assumption(1, "A question is open for a day, the usual target, if nobody answers sooner")
YEARS = Assumption(1, "MongoDB and the scorer's rows keep interactions for good. Disks are for the first year")
BUSY = Assumption(0.5, "Processors are half busy at the peak, so that a worker can take over the work of another")
FULL = Assumption(0.6, "Disks are filled to 60 %: the alert comes at 85 %, and a new disk takes days to arrive")
REPLICAS = Assumption(3, "Copies in Kafka and MongoDB, as the promises assume")
UNCOMPACTED = Assumption(
    2, "Kafka compacts a topic when half of it is outdated, so a changelog is up to twice its rows"
)
COMPACTION = Assumption(2, "RocksDB deletes a file only after it has written its replacement")
GROWTH = Assumption(1.5, "Changing the number of partitions is a migration: room for half as many workers again")
RESTORE_HOURS = Assumption(
    0.5, "A scorer that lost its volume reads its changelogs again, and its startup probe waits half an hour"
)
FEWEST_WORKERS = Assumption(2, "One worker's partitions are with the others while it restarts")
BLUESKY = Assumption(
    0.2,
    "A fifth of the interactions come from Bluesky. Each is remembered until it is deleted, here for a year",
)
INGESTS = Assumption(3, "Ingest processes, as in the production overlay. Each has all that is remembered on its volume")
HOT = Assumption(0.1, "A tenth of MongoDB's files is in memory: indexes and documents of about the last five weeks")
WORKER_BASE_GB = Assumption(0.5, "A scorer without open clocks: the interpreter, and RocksDB's caches")
BROKER_GB = Assumption(4, "A Kafka broker's own memory and some page cache; what is read is mostly just written")
LARGEST_MONGODB_GB = Assumption(
    2_000,
    "A larger replica set takes most of a day to copy to a new member. Sharding was not tried: use two installations",
)
ASSUMPTIONS: Mapping[str, Assumption] = {
    name: value for name, value in sorted(globals().items()) if isinstance(value, Assumption)
}
USUAL_PARTITIONS = (4, 12, 48, 96, 192, 384)
"""Numbers that divide evenly among many numbers of workers."""


@dataclass(frozen=True)
class Agency:
    """How much is asked of an installation."""

    brands: int
    followers_per_brand: float = FOLLOWERS_PER_BRAND.value
    interactions_per_follower_day: float = INTERACTIONS_PER_FOLLOWER_DAY.value

    @property
    def followers(self) -> float:
        """Of all brands."""
        return self.brands * self.followers_per_brand

    @property
    def per_day(self) -> float:
        """Interactions."""
        return self.followers * self.interactions_per_follower_day


AGENCIES = tuple(Agency(brands) for brands in (10, 200, 2_000))


@dataclass(frozen=True)
class Size:
    """What an agency needs. Memory and disks in GB."""

    peak_per_second: float
    cores: Mapping[str, float]
    """At the peak, by process, with `BUSY` counted in; `kafka` and `mongodb` are of all members together."""
    workers: int
    partitions: int
    open_clocks: float
    worker_memory: float
    worker_volume: float
    remembered: float
    """Of Bluesky's records, in Kafka, one copy."""
    ingest_volume: float
    log: float
    """One copy."""
    changelogs: float
    brokers: int
    broker_disk: float
    mongodb: float
    """One copy of documents and indexes."""
    mongodb_memory: float
    mongodb_disk: float

    @property
    def disks(self) -> float:
        """All of them together."""
        volumes = self.workers * self.worker_volume + INGESTS.value * self.ingest_volume
        return self.brokers * self.broker_disk + REPLICAS.value * self.mongodb_disk + volumes


def size(agency: Agency, figures: Mapping[str, Mapping[str, Any]]) -> Size:
    """Computes it. `figures` as in bench/figures.json."""
    storage, clocks, each_thing = figures["storage"], figures["clocks"], figures["remembered"]
    days = YEARS.value * 365
    peak = agency.per_day / DAY_SECONDS * PEAK.value

    def cores(process: str) -> float:
        return peak * float(storage[f"{process}_cpu_us_per_interaction"]) / 1e6 / BUSY.value

    def kept(where: str) -> float:
        of_followers = agency.followers * float(storage[f"{where}_bytes_per_follower"])
        return (of_followers + agency.per_day * days * float(storage[f"{where}_bytes_per_interaction"])) / GB

    rows_per_second = clocks["open"] / clocks["ready_on_an_empty_disk_after_seconds"]
    restored = rows_per_second * storage["changelog_bytes_per_interaction"] * RESTORE_HOURS.value * 3_600 / GB
    needed = max(math.ceil(cores("scorer")), math.ceil(kept("changelog") / restored))
    workers = max(int(FEWEST_WORKERS.value), needed)
    partitions = next((each for each in USUAL_PARTITIONS if each >= needed * GROWTH.value), USUAL_PARTITIONS[-1])
    open_clocks = agency.per_day * QUESTIONS.value * OPEN_DAYS.value
    # If one is away, the others have its partitions.
    share = 1 / (workers - 1)
    control = storage["control_bytes_per_partition_second"] * partitions * DAY_SECONDS * KEPT_DAYS
    log = (agency.per_day * KEPT_DAYS * storage["log_bytes_per_interaction"] + control) / GB
    changelogs = kept("changelog") * UNCOMPACTED.value
    things = agency.per_day * days * BLUESKY.value
    remembered = things * each_thing["topic_bytes_each"] * UNCOMPACTED.value / GB
    mongodb = kept("mongodb") + kept("mongodb_index")
    brokers = int(REPLICAS.value)
    return Size(
        peak_per_second=peak,
        cores={name: cores(name) for name in (*PROCESSES, "kafka", "mongodb")},
        workers=workers,
        partitions=partitions,
        open_clocks=open_clocks,
        worker_memory=WORKER_BASE_GB.value + open_clocks * share / clocks["open"] * clocks["memory_gib"],
        worker_volume=kept("rocksdb") * share * COMPACTION.value / FULL.value,
        remembered=remembered,
        ingest_volume=things * each_thing["copy_bytes_each"] / GB / FULL.value,
        log=log,
        changelogs=changelogs,
        brokers=brokers,
        broker_disk=(log + changelogs + remembered) * REPLICAS.value / brokers / FULL.value,
        mongodb=mongodb,
        mongodb_memory=max(1.0, mongodb * HOT.value),
        mongodb_disk=mongodb / FULL.value,
    )


def markdown(figures: Mapping[str, Mapping[str, Any]]) -> str:
    """The tables of docs/sizing.md."""
    sizes = [size(agency, figures) for agency in AGENCIES]
    heads = ["", *(f"{agency.brands:,} brands" for agency in AGENCIES)]
    parts = [
        _table(heads, [[what, *(tell(*each) for each in zip(AGENCIES, sizes, strict=True))] for what, tell in _ROWS]),
        "**What drives the cost.** All disks together, if one of these doubles:",
        _table(heads, [[what, *_grown(change, sizes, figures)] for what, change in _DRIVERS]),
        "**What was measured** (`bench/figures.json`):",
        _table(["", "figure", "measured"], list(_measured(figures))),
        "**What is assumed** (`deploy/sizing.py`):",
        _table(["", "value", "why"], [[f"`{n}`", f"{each.value:,g}", each.reason] for n, each in ASSUMPTIONS.items()]),
    ]
    return "\n\n".join(parts) + "\n"


_ROWS: list[tuple[str, Callable[[Agency, Size], str]]] = [
    ("followers", lambda agency, _: f"{agency.followers:,.0f}"),
    ("interactions a day", lambda agency, _: f"{agency.per_day:,.0f}"),
    ("interactions a second at the peak", lambda _, its: _number(its.peak_per_second)),
    ("partitions", lambda _, its: f"{its.partitions}"),
    ("scorer workers", lambda _, its: f"{its.workers}"),
    ("cores of the scorers at the peak", lambda _, its: _number(its.cores["scorer"])),
    ("open clocks", lambda _, its: f"{its.open_clocks:,.0f}"),
    ("memory of a scorer", lambda _, its: _gb(its.worker_memory)),
    ("volume of a scorer", lambda _, its: _gb(its.worker_volume)),
    *(
        (f"cores of {name} at the peak", lambda _, its, name=name: _number(its.cores[name]))
        for name in ("ingest", "projector", "notifier", "kafka", "mongodb")
    ),
    ("brokers", lambda _, its: f"{its.brokers} × {BROKER_GB.value:g} GB of memory"),
    ("log of 90 days, one copy", lambda _, its: _gb(its.log)),
    ("remembered of Bluesky, one copy", lambda _, its: _gb(its.remembered)),
    ("volume of an ingest process", lambda _, its: _gb(its.ingest_volume)),
    ("changelogs, one copy", lambda _, its: _gb(its.changelogs)),
    ("disk of a broker", lambda _, its: _gb(its.broker_disk)),
    ("MongoDB after a year, one copy", lambda _, its: _gb(its.mongodb)),
    ("memory of a MongoDB member", lambda _, its: _gb(its.mongodb_memory)),
    ("disk of a MongoDB member", lambda _, its: _gb(its.mongodb_disk)),
    ("one replica set is enough", lambda _, its: "yes" if its.mongodb <= LARGEST_MONGODB_GB.value else "no"),
    ("all disks", lambda _, its: _gb(its.disks)),
]
_DRIVERS: list[tuple[str, Callable[[Agency], Agency]]] = [
    (
        "interactions per follower",
        lambda its: replace(its, interactions_per_follower_day=2 * its.interactions_per_follower_day),
    ),
    (
        "followers, with as many interactions in all",
        lambda its: replace(
            its,
            followers_per_brand=2 * its.followers_per_brand,
            interactions_per_follower_day=its.interactions_per_follower_day / 2,
        ),
    ),
]


def _grown(change: Callable[[Agency], Agency], sizes: list[Size], figures: Mapping[str, Any]) -> list[str]:
    return [
        f"{100 * (size(change(agency), figures).disks / its.disks - 1):+.0f} %"
        for agency, its in zip(AGENCIES, sizes, strict=True)
    ]


def _measured(figures: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
    left_out = ("measured_on", "machine")
    return [
        [name.replace("_", " "), f"{value:,}", f"{what}, {its['measured_on']}, {its['machine']}"]
        for what, its in ((each, figures[each]) for each in ("storage", "clocks", "remembered"))
        for name, value in its.items()
        if name not in left_out
    ]


def _gb(value: float) -> str:
    return f"{value / 1000:,.1f} TB" if value >= 1000 else f"{_number(value)} GB"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}" if value >= 0.1 else "under 0.1"


def _table(heads: list[str], rows: list[list[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    sys.stdout.write(markdown(figures_kept()))
