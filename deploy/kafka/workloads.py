"""What the workloads of `base` get on top where Kafka or MongoDB is run by its operator."""

from typing import Any

from deploy.kafka.users import user_name
from rapport.processes import PROCESSES, Process

KAFKA_CA = "/kafka-ca"
MONGODB_CA = "/mongodb-ca"


def logins() -> list[dict[str, Any]]:
    """Each process comes into Kafka as its own user, and knows the cluster's authority."""
    return [_login(process) for process in PROCESSES]


def uris() -> list[dict[str, Any]]:
    """Whoever needs MongoDB takes the URI that the operator writes, and knows the authority of its certificates."""
    return [_uri(process) for process in PROCESSES if "mongodb" in process.needs]


def _login(process: Process) -> dict[str, Any]:
    user = user_name(process.name)
    environment = [
        {"name": "RAPPORT_KAFKA_USER", "value": user},
        {"name": "RAPPORT_KAFKA_PASSWORD", "valueFrom": {"secretKeyRef": {"name": user, "key": "password"}}},
        {"name": "RAPPORT_KAFKA_MECHANISM", "value": "SCRAM-SHA-512"},
        {"name": "RAPPORT_KAFKA_TLS", "value": "true"},
        {"name": "RAPPORT_KAFKA_CA", "value": f"{KAFKA_CA}/ca.crt"},
    ]
    return _patch(process, environment, "kafka-ca", "rapport-cluster-ca-cert", KAFKA_CA)


def _uri(process: Process) -> dict[str, Any]:
    key = {"name": "rapport-mongodb-connection", "key": "connectionString.standard"}
    environment = [{"name": "RAPPORT_MONGODB", "valueFrom": {"secretKeyRef": key}}]
    return _patch(process, environment, "mongodb-ca", "rapport-mongodb-tls", MONGODB_CA)


def _patch(process: Process, environment: list[Any], volume: str, secret: str, path: str) -> dict[str, Any]:
    """Mounts the authority's certificate alone, and never its key."""
    authority = {"secretName": secret, "items": [{"key": "ca.crt", "path": "ca.crt"}]}
    container = {
        "name": process.name,
        "env": environment,
        "volumeMounts": [{"name": volume, "mountPath": path, "readOnly": True}],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet" if "RAPPORT_DATA" in process.settings else "Deployment",
        "metadata": {"name": process.name},
        "spec": {"template": {"spec": {"containers": [container], "volumes": [{"name": volume, "secret": authority}]}}},
    }
