"""What an operator would apply, built as `kubectl` builds it: valid, whole, and nobody with more rights than needed."""

import copy
import shutil
from collections import Counter
from functools import cache
from typing import Any

import jsonschema
import pytest

from rapport.contracts.topics import CATALOGUE, CURSORS
from rapport.processes import COMMON_SETTINGS, PROCESSES, Process
from tests.deploy.resources import K8S, Resource, built, check

pytestmark = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not on the PATH")

OVERLAYS = ("dev", "prod")
KINDS = {
    "dev": {
        "ConfigMap": 1, "Deployment": 3, "Kafka": 1, "KafkaNodePool": 2, "KafkaTopic": len(CATALOGUE), "KafkaUser": 7,
        "MongoDBCommunity": 1, "Namespace": 1, "NetworkPolicy": 10, "PodDisruptionBudget": 5,
        "Service": 6, "StatefulSet": 2,
    },
    "prod": {
        "ConfigMap": 10, "Deployment": 3, "ExternalSecret": 4, "HTTPRoute": 2, "Kafka": 1, "KafkaNodePool": 2,
        "KafkaTopic": len(CATALOGUE), "KafkaUser": 7, "LimitRange": 1, "Namespace": 1, "NetworkPolicy": 10,
        "PodDisruptionBudget": 5, "PodMonitor": 5, "PriorityClass": 1, "PrometheusRule": 1,
        "ResourceQuota": 1, "ScaledObject": 2, "Secret": 1, "Service": 6, "StatefulSet": 2, "TriggerAuthentication": 1,
    },
}  # fmt: skip
KAFKA = {f"RAPPORT_KAFKA_{name}" for name in ("USER", "PASSWORD", "MECHANISM", "TLS", "CA")}
MADE = {
    "rapport-admin": "key", "rapport-smtp": "url", "rapport-mongodb": "uri", "rapport-sealing": "keys",
    "rapport-mongodb-connection": "connectionString.standard",
    **{f"rapport-{process.name}": "password" for process in PROCESSES},
}  # fmt: skip
"""Secrets that the operator of the cluster, External Secrets, Strimzi or MongoDB's operator makes, and their key."""

FIXED = {topic.name: topic.fixed for topic in CATALOGUE if topic.fixed}

every_overlay = pytest.mark.parametrize("overlay", OVERLAYS)


@cache
def _resources(overlay: str) -> tuple[Resource, ...]:
    return tuple(built(K8S / "overlays" / overlay))


def of(overlay: str, *kinds: str) -> dict[str, Resource]:
    return {each["metadata"]["name"]: each for each in _resources(overlay) if each["kind"] in kinds}


def workloads(overlay: str) -> list[tuple[Process, Resource]]:
    found = of(overlay, "Deployment", "StatefulSet")
    assert found.keys() == {process.name for process in PROCESSES}
    return [(process, found[process.name]) for process in PROCESSES]


def container(workload: Resource) -> Resource:
    (only,) = workload["spec"]["template"]["spec"]["containers"]
    found: Resource = only
    return found


def variables(workload: Resource) -> dict[str, Resource]:
    return {each["name"]: each for each in container(workload)["env"]}


@every_overlay
def test_every_resource_is_valid_and_none_is_overlooked(overlay: str) -> None:
    assert Counter(each["kind"] for each in _resources(overlay)) == KINDS[overlay]
    for each in _resources(overlay):
        check(each)


@every_overlay
def test_all_is_in_one_namespace(overlay: str) -> None:
    (name,) = of(overlay, "Namespace")
    outside = {"Namespace", "PriorityClass"}
    assert {each["metadata"].get("namespace") for each in _resources(overlay) if each["kind"] not in outside} == {name}


@every_overlay
def test_every_pod_meets_the_restricted_standard_and_has_no_token(overlay: str) -> None:
    for process, workload in workloads(overlay):
        spec = workload["spec"]["template"]["spec"]
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] > 0
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers", "hostAliases"} & set(spec)
        assert container(workload)["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert all(set(each) <= {"name", "emptyDir", "persistentVolumeClaim", "secret"} for each in spec["volumes"])
        for each in spec["volumes"]:
            if "secret" in each:
                assert [item["key"] for item in each["secret"]["items"]] in (["ca.crt"], ["keys"]), process.name
        memory = container(workload)["resources"]
        assert set(memory["requests"]) == {"cpu", "memory"}
        assert "memory" in memory["limits"]
        assert {"startupProbe", "readinessProbe", "livenessProbe"} <= set(container(workload))


@every_overlay
def test_every_process_has_its_settings_and_a_login_of_its_own(overlay: str) -> None:
    users = of(overlay, "KafkaUser")
    for process, workload in workloads(overlay):
        its = variables(workload)
        assert its.keys() == {*COMMON_SETTINGS, *process.settings, *KAFKA}
        user = its["RAPPORT_KAFKA_USER"]["value"]
        assert user in users
        assert its["RAPPORT_KAFKA_PASSWORD"]["valueFrom"]["secretKeyRef"] == {"name": user, "key": "password"}
        assert (its["RAPPORT_KAFKA_TLS"]["value"], its["RAPPORT_KAFKA_CA"]["value"]) == ("true", "/kafka-ca/ca.crt")
        mounted = {each["mountPath"] for each in container(workload)["volumeMounts"]}
        assert "/kafka-ca" in mounted
    logins = [variables(workload)["RAPPORT_KAFKA_USER"]["value"] for _, workload in workloads(overlay)]
    assert len(set(logins)) == len(logins)


@every_overlay
def test_every_secret_that_is_asked_for_is_made_by_somebody(overlay: str) -> None:
    for _, workload in workloads(overlay):
        for each in container(workload)["env"]:
            asked = each.get("valueFrom", {}).get("secretKeyRef")
            if asked is not None:
                assert MADE[asked["name"]] == asked["key"]
    for secret in of(overlay, "ExternalSecret").values():
        (data,) = secret["spec"]["data"]
        assert MADE[secret["metadata"]["name"]] == data["secretKey"]


@every_overlay
def test_topics_processes_and_scaling_agree_about_the_partitions(overlay: str) -> None:
    said = int(of(overlay, "ConfigMap")["rapport"]["data"]["partitions"])
    assert said == {"dev": 4, "prod": 48}[overlay]
    for name, topic in of(overlay, "KafkaTopic").items():
        assert topic["spec"]["partitions"] == FIXED.get(name, said), name
    assert of(overlay, "StatefulSet")["scorer"]["spec"]["replicas"] <= said
    assert of(overlay, "StatefulSet")["ingest"]["spec"]["replicas"] <= CURSORS.partitions
    for each in of(overlay, "ScaledObject").values():
        assert each["spec"]["maxReplicaCount"] <= said


@every_overlay
def test_the_brokers_take_nobody_in_without_tls_and_a_login(overlay: str) -> None:
    spec = of(overlay, "Kafka")["rapport"]["spec"]["kafka"]
    assert spec["authorization"] == {"type": "simple"}
    for listener in spec["listeners"]:
        assert (listener["tls"], listener["authentication"]) == (True, {"type": "scram-sha-512"})
        assert listener["type"] == "internal"
        assert of(overlay, "ConfigMap")["rapport"]["data"]["kafka"].endswith(f":{listener['port']}")


def test_in_production_nothing_is_alone() -> None:
    pools = of("prod", "KafkaNodePool")
    assert {each["spec"]["replicas"] for each in pools.values()} == {3}
    for each in pools.values():
        apart = each["spec"]["template"]["pod"]["affinity"]["podAntiAffinity"]
        assert apart["requiredDuringSchedulingIgnoredDuringExecution"][0]["topologyKey"] == "kubernetes.io/hostname"
    config = of("prod", "Kafka")["rapport"]["spec"]["kafka"]["config"]
    assert (config["default.replication.factor"], config["min.insync.replicas"]) == (3, 2)
    for topic in of("prod", "KafkaTopic").values():
        assert (topic["spec"]["replicas"], topic["spec"]["config"]["min.insync.replicas"]) == (3, "2")
    budgets = of("prod", "PodDisruptionBudget")
    for process, workload in workloads("prod"):
        assert workload["spec"]["replicas"] >= 2
        assert budgets[process.name]["spec"]["maxUnavailable"] == 1
        (spread,) = workload["spec"]["template"]["spec"]["topologySpreadConstraints"]
        assert (spread["topologyKey"], spread["whenUnsatisfiable"]) == ("kubernetes.io/hostname", "DoNotSchedule")


def test_all_of_production_fits_into_its_quota_twice() -> None:
    most = {each["metadata"]["name"]: each["spec"]["maxReplicaCount"] for each in of("prod", "ScaledObject").values()}
    cpu = memory = pods = 0.0
    for process, workload in workloads("prod"):
        many = max(workload["spec"]["replicas"], most.get(process.name, 0))
        asked = container(workload)["resources"]["requests"]
        cpu += many * _cores(asked["cpu"])
        memory += many * _gibibytes(asked["memory"])
        pods += many
    for pool in of("prod", "KafkaNodePool").values():
        asked = pool["spec"]["resources"]["requests"]
        cpu += pool["spec"]["replicas"] * _cores(asked["cpu"])
        memory += pool["spec"]["replicas"] * _gibibytes(asked["memory"])
        pods += pool["spec"]["replicas"]
    hard = of("prod", "ResourceQuota")["rapport"]["spec"]["hard"]
    assert 2 * cpu <= float(hard["requests.cpu"])
    assert 2 * memory <= _gibibytes(hard["requests.memory"])
    assert 2 * pods <= int(hard["pods"])


def _cores(quantity: str) -> float:
    return float(quantity.removesuffix("m")) / 1000 if quantity.endswith("m") else float(quantity)


def _gibibytes(quantity: str) -> float:
    return float(quantity[:-2]) / 1024 if quantity.endswith("Mi") else float(quantity.removesuffix("Gi"))


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("KafkaUser", lambda spec: spec["authorization"]["acls"][0].update(operations=["Reed"])),
        ("ScaledObject", lambda spec: spec.update(maxReplicas=3)),
        ("PodMonitor", lambda spec: spec["podMetricsEndpoints"][0].update(intervall="5s")),
        ("HTTPRoute", lambda spec: spec["rules"][0]["backendRefs"][0].update(port=0)),
        ("ExternalSecret", lambda spec: spec["secretStoreRef"].update(kind="Store")),
        ("Kafka", lambda spec: spec["kafka"]["listeners"][0].pop("tls")),
    ],
)
def test_a_custom_resource_with_a_mistake_is_found(kind: str, change: Any) -> None:
    resource = copy.deepcopy(next(each for each in _resources("prod") if each["kind"] == kind))
    change(resource["spec"])
    with pytest.raises(jsonschema.ValidationError):
        check(resource)
