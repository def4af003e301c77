"""The catalogue's topics as `KafkaTopic` resources of Strimzi.

`python -m rapport.local.manifests > deploy/k8s/base/topics.yaml`
"""

import sys
from collections.abc import Iterable

from rapport.contracts.topics import CATALOGUE, Topic

REPLICAS = 3
IN_SYNC = 2
"""An acknowledged record is on two disks; one broker may be away without stopping anybody."""

_HEADER = """\
# Written by `python -m rapport.local.manifests` from the catalogue (rapport/contracts/topics.py); a test compares both.
# A partition count of what the scorer reads never changes in place.
"""


def kafka_topics(topics: Iterable[Topic] = CATALOGUE) -> str:
    """One YAML document per topic."""
    return _HEADER + "---\n".join(_kafka_topic(topic) for topic in topics)


def _kafka_topic(topic: Topic) -> str:
    config = {**topic.config, "min.insync.replicas": str(IN_SYNC), "unclean.leader.election.enable": "false"}
    lines = [
        "apiVersion: kafka.strimzi.io/v1",
        "kind: KafkaTopic",
        "metadata:",
        f"  name: {topic.name}",
        "  labels:",
        "    strimzi.io/cluster: rapport",
        "spec:",
        f"  partitions: {topic.partitions}",
        f"  replicas: {REPLICAS}",
        "  config:",
        *(f'    {name}: "{value}"' for name, value in sorted(config.items())),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(kafka_topics())
