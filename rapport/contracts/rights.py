"""What each process may do with Kafka, from the catalogue: no more than it does."""

from dataclasses import dataclass
from typing import Literal

from rapport.contracts.topics import (
    CATALOGUE,
    INGEST_GROUP,
    NOTIFIER_GROUP,
    PROJECTOR_GROUP,
    SCORER_APPLICATION,
    SCORER_GROUP,
)
from rapport.processes import PROCESSES

GROUPS = {"ingest": INGEST_GROUP, "scorer": SCORER_GROUP, "notifier": NOTIFIER_GROUP, "projector": PROJECTOR_GROUP}
OPERATOR = "operator"
"""Whoever runs `rapport doctor`, `verify`, `dlt`, `topics`, `positions` and `partitions`."""
SCALER = "scaler"
"""KEDA, which asks for the lag of groups."""
USERS = (*(process.name for process in PROCESSES), OPERATOR, SCALER)
PREFIX = "rapport"
"""Of all topics, groups and transactional ids."""


@dataclass(frozen=True)
class Right:
    """What one user may do with one resource, or with all whose name begins like it."""

    kind: Literal["topic", "group", "transactionalId", "cluster"]
    name: str
    operations: tuple[str, ...]
    """In the spelling of Strimzi, such as `DescribeConfigs`."""
    prefix: bool = False


_LOOKS = (
    # At start each process holds all topics, and what they keep, against the catalogue.
    Right("topic", f"{PREFIX}.", ("Describe", "DescribeConfigs"), prefix=True),
    Right("cluster", "kafka-cluster", ("Describe", "DescribeConfigs")),
)
_OPERATES = (
    Right("topic", f"{PREFIX}.", ("All",), prefix=True),
    Right("group", f"{PREFIX}-", ("All",), prefix=True),
    # To give up what is lost, it writes as the scorer would, in the scorer's place.
    Right("transactionalId", f"{SCORER_APPLICATION}-", ("All",), prefix=True),
    Right("cluster", "kafka-cluster", ("Describe", "DescribeConfigs", "Create")),
)
_SCALES = (
    Right("topic", f"{PREFIX}.", ("Describe",), prefix=True),
    Right("group", f"{PREFIX}-", ("Describe",), prefix=True),
)


def rights(user: str) -> tuple[Right, ...]:
    """Those of one of `USERS`."""
    if user == OPERATOR:
        return _OPERATES
    if user == SCALER:
        return _SCALES
    found = list(_LOOKS)
    for topic in CATALOGUE:
        may = [*(["Read"] if user in topic.readers else []), *(["Write"] if user in topic.writers else [])]
        if may:
            found.append(Right("topic", topic.name, tuple(may)))
    if user in GROUPS:
        found.append(Right("group", GROUPS[user], ("Read",)))
    if user == "scorer":
        found.append(Right("transactionalId", f"{SCORER_APPLICATION}-", ("Describe", "Write"), prefix=True))
    return tuple(found)
