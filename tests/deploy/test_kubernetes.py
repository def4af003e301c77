"""The base for Kubernetes: the right processes, each with what it needs and no more."""

import shutil
from collections import Counter
from pathlib import Path

import pytest
import yaml

from rapport.contracts.topics import CONVERSATIONS, CURSORS
from rapport.processes import COMMON_SETTINGS, PROCESSES, Process
from tests.deploy.resources import Resource, built, check

BASE = Path(__file__).parents[2] / "deploy" / "k8s" / "base"
KINDS = {
    "ConfigMap": 1,
    "Deployment": 3,
    "PodDisruptionBudget": 5,
    "Service": 6,
    "StatefulSet": 2,
}


def resources() -> list[Resource]:
    kustomization = yaml.safe_load((BASE / "kustomization.yaml").read_text())
    return [
        document
        for name in kustomization["resources"]
        for document in yaml.safe_load_all((BASE / name).read_text())
        if document
    ]


def workload(process: Process) -> Resource:
    return next(
        each
        for each in resources()
        if each["kind"] in ("Deployment", "StatefulSet") and each["metadata"]["name"] == process.name
    )


def pod(process: Process) -> Resource:
    spec: Resource = workload(process)["spec"]["template"]["spec"]
    return spec


def container(process: Process) -> Resource:
    (only,) = pod(process)["containers"]
    found: Resource = only
    return found


every_process = pytest.mark.parametrize("process", PROCESSES, ids=lambda process: process.name)


def test_every_manifest_is_valid_and_none_is_overlooked() -> None:
    assert Counter(each["kind"] for each in resources()) == KINDS
    for each in resources():
        check(each)


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not on the PATH")
def test_kustomize_builds_the_same_resources_with_a_version_of_the_image() -> None:
    documents = built(BASE)
    assert Counter(each["kind"] for each in documents) == KINDS
    for each in documents:
        check(each)
        if each["kind"] in ("Deployment", "StatefulSet"):
            (only,) = each["spec"]["template"]["spec"]["containers"]
            assert only["image"].startswith("rapport:")


def test_there_is_one_workload_for_each_process_and_no_other() -> None:
    found = [each["metadata"]["name"] for each in resources() if each["kind"] in ("Deployment", "StatefulSet")]
    assert sorted(found) == sorted(process.name for process in PROCESSES)


@every_process
def test_a_workload_runs_its_process_on_its_port_with_exactly_its_settings(process: Process) -> None:
    found = container(process)
    assert found["args"] == [process.name]
    environment = {each["name"]: each for each in found["env"]}
    assert set(environment) == {*COMMON_SETTINGS, *process.settings}
    assert environment["RAPPORT_PORT"]["value"] == str(process.port)
    internal = [{"name": "internal", "containerPort": process.internal_port}] if process.internal_port else []
    assert found["ports"] == [{"name": "http", "containerPort": process.port}, *internal]
    if internal:
        assert environment["RAPPORT_INTERNAL_PORT"]["value"] == str(process.internal_port)
    service = next(
        each for each in resources() if each["kind"] == "Service" and each["metadata"]["name"] == process.name
    )
    assert service["spec"]["ports"] == [{"name": "http", "port": process.port, "targetPort": "http"}]
    assert service["spec"]["selector"] == workload(process)["spec"]["template"]["metadata"]["labels"]


@every_process
def test_secrets_come_by_reference(process: Process) -> None:
    for each in container(process)["env"]:
        if each["name"] in ("RAPPORT_MONGODB", "RAPPORT_ADMIN_KEY", "RAPPORT_SMTP"):
            assert set(each["valueFrom"]) == {"secretKeyRef"}


@every_process
def test_probes_ask_readiness_of_servers_but_liveness_only_of_the_process(process: Process) -> None:
    found = container(process)
    probes = [found[name]["httpGet"] for name in ("startupProbe", "readinessProbe", "livenessProbe")]
    assert {probe["port"] for probe in probes} == {"internal" if process.internal_port else "http"}
    assert found["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert found["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert found["startupProbe"]["failureThreshold"] * found["startupProbe"]["periodSeconds"] >= 120


@every_process
def test_a_pod_meets_the_restricted_standard_and_has_no_token(process: Process) -> None:
    spec = pod(process)
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] > 0
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
    assert container(process)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert all(set(volume) <= {"name", "emptyDir", "persistentVolumeClaim", "secret"} for volume in spec["volumes"])


@every_process
def test_memory_is_bounded_and_what_is_asked_for_is_within_it(process: Process) -> None:
    wanted = container(process)["resources"]
    assert set(wanted["requests"]) == {"cpu", "memory"}
    assert mebibytes(wanted["requests"]["memory"]) <= mebibytes(wanted["limits"]["memory"])


def mebibytes(quantity: str) -> int:
    assert quantity.endswith("Mi")
    return int(quantity.removesuffix("Mi"))


@every_process
def test_what_a_process_keeps_is_on_a_volume_that_outlives_the_pod(process: Process) -> None:
    mounts = {mount["mountPath"]: mount["name"] for mount in container(process)["volumeMounts"]}
    lasting = {volume["name"] for volume in pod(process)["volumes"] if "persistentVolumeClaim" in volume}
    lasting |= {claim["metadata"]["name"] for claim in workload(process)["spec"].get("volumeClaimTemplates", [])}
    assert {mounts[path] for path in mounts if path not in ("/tmp", "/sealing")} == lasting
    assert ("/data" in mounts) == ("RAPPORT_DATA" in process.settings)


def test_ingest_runs_more_than_once_each_on_a_volume_of_its_own_and_goes_one_after_the_other() -> None:
    ingest = next(process for process in PROCESSES if process.name == "ingest")
    found = workload(ingest)
    assert found["kind"] == "StatefulSet"
    assert 2 <= found["spec"]["replicas"] <= CURSORS.partitions
    assert found["spec"].get("updateStrategy", {"type": "RollingUpdate"}) == {"type": "RollingUpdate"}
    # As long as the others need to have the accounts of the one that was replaced.
    assert found["spec"]["minReadySeconds"] >= 30
    budget = next(each for each in resources() if each["kind"] == "PodDisruptionBudget" and named(each) == "ingest")
    assert budget["spec"]["maxUnavailable"] == 1
    environment = {each["name"]: each for each in container(ingest)["env"]}
    assert environment["RAPPORT_INSTANCE"]["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.name"}}


def named(resource: Resource) -> str:
    return str(resource["metadata"]["name"])


def test_the_scorer_is_a_static_member_by_its_pods_name_and_no_more_of_them_than_partitions() -> None:
    scorer = next(process for process in PROCESSES if process.name == "scorer")
    found = workload(scorer)
    assert found["kind"] == "StatefulSet"
    assert found["spec"]["replicas"] <= CONVERSATIONS.partitions
    environment = {each["name"]: each for each in container(scorer)["env"]}
    assert environment["RAPPORT_INSTANCE"]["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.name"}}
