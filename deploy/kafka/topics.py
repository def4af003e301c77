"""The catalogue's topics as `KafkaTopic` resources of Strimzi."""

from typing import Any

from rapport.contracts.topics import CATALOGUE, Topic

CLUSTER = {"strimzi.io/cluster": "rapport"}
"""The label that says to which cluster topics and users belong."""
PARTITIONED = {"rapport.example/partitions": "installation"}
"""The label of topics with as many partitions as the installation says; an overlay finds them by it."""
REPLICAS = 3
IN_SYNC = 2
"""An acknowledged record is on two disks; one broker may be away without stopping anybody."""
API_VERSION = "kafka.strimzi.io/v1"


def topics() -> list[dict[str, Any]]:
    """One resource per topic."""
    return [_topic(topic) for topic in CATALOGUE]


def _topic(topic: Topic) -> dict[str, Any]:
    config = {**topic.config, "min.insync.replicas": str(IN_SYNC), "unclean.leader.election.enable": "false"}
    return {
        "apiVersion": API_VERSION,
        "kind": "KafkaTopic",
        "metadata": {"name": topic.name, "labels": {**CLUSTER, **(PARTITIONED if topic.fixed is None else {})}},
        "spec": {"partitions": topic.partitions, "replicas": REPLICAS, "config": dict(sorted(config.items()))},
    }
