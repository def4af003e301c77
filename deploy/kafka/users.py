"""A `KafkaUser` of Strimzi for each process, the operator and KEDA, with their rights and no others."""

from typing import Any

from deploy.kafka.topics import API_VERSION, CLUSTER
from rapport.contracts.rights import USERS, Right, rights


def users() -> list[dict[str, Any]]:
    """One resource per user. Strimzi makes a secret of the same name, with the password."""
    return [_user(name) for name in USERS]


def user_name(user: str) -> str:
    """What Kafka, and the secret, call this user."""
    return f"rapport-{user}"


def _user(user: str) -> dict[str, Any]:
    return {
        "apiVersion": API_VERSION,
        "kind": "KafkaUser",
        "metadata": {"name": user_name(user), "labels": CLUSTER},
        "spec": {
            "authentication": {"type": "scram-sha-512"},
            "authorization": {"type": "simple", "acls": [_acl(right) for right in rights(user)]},
        },
    }


def _acl(right: Right) -> dict[str, Any]:
    if right.kind == "cluster":
        resource = {"type": "cluster"}
    else:
        pattern = "prefix" if right.prefix else "literal"
        resource = {"type": right.kind, "name": right.name, "patternType": pattern}
    return {"resource": resource, "operations": list(right.operations)}
