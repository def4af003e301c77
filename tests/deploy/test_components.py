"""The components of Kubernetes, one by one: valid, complete, and no wider open than the processes need."""

import re
from pathlib import Path

import pytest
import yaml

from deploy import build
from rapport.contracts.rights import GROUPS, SCALER, USERS, rights
from rapport.contracts.topics import (
    ALERTS,
    CATALOGUE,
    EXCHANGES,
    NOTIFIER_GROUP,
    PROJECTOR_GROUP,
)
from rapport.processes import PROCESSES, Process
from tests.deploy.resources import Resource, check

COMPONENTS = build.DEPLOY / "k8s" / "components"
COMPONENT = "app.kubernetes.io/component"
OUTSIDE = {"api": {443}, "ingest": {443}, "notifier": {443, 465, 587}}
"""Who may talk to the world, at which ports."""


def resources(component: str) -> list[Resource]:
    """What a component's kustomization lists."""
    folder = COMPONENTS / component
    about = yaml.safe_load((folder / "kustomization.yaml").read_text())
    listed, patches = about["resources"], [each["path"] for each in about.get("patches", [])]
    assert {path.name for path in folder.iterdir()} == {*listed, *patches, "kustomization.yaml"}
    return [each for name in listed for each in yaml.safe_load_all((folder / name).read_text()) if each]


def policies() -> dict[str, Resource]:
    return {each["metadata"]["name"]: each["spec"] for each in resources("network-policies")}


@pytest.mark.parametrize("component", sorted(path.name for path in COMPONENTS.iterdir()))
def test_every_resource_is_valid_or_of_a_kind_that_is_known(component: str) -> None:
    found = resources(component)
    assert found
    for each in found:
        check(each)


def test_nobody_talks_to_anybody_unless_it_is_listed() -> None:
    everybody = {"key": COMPONENT, "operator": "In", "values": [process.name for process in PROCESSES]}
    for name, ways in (("nobody", ["Ingress", "Egress"]), ("dns", ["Egress"])):
        (chosen,) = policies()[name]["podSelector"]["matchExpressions"]
        assert {**chosen, "values": sorted(chosen["values"])} == {**everybody, "values": sorted(everybody["values"])}
        assert policies()[name]["policyTypes"] == ways
    for name, spec in policies().items():
        for rule in spec.get("ingress", []) + spec.get("egress", []):
            assert rule.get("ports"), name
            assert rule.get("from") or rule.get("to"), name


@pytest.mark.parametrize("process", PROCESSES, ids=lambda process: process.name)
def test_a_process_is_reached_at_its_own_ports_and_reaches_only_what_it_needs(process: Process) -> None:
    own = policies()[process.name]
    assert own["podSelector"]["matchLabels"] == {"app.kubernetes.io/component": process.name}
    reached = {
        (rule["from"][0]["namespaceSelector"]["matchLabels"]["rapport.example/role"], port["port"])
        for rule in own["ingress"]
        for port in rule["ports"]
    }
    strangers = {("gateway", process.port)} if process.internal_port else set()
    assert reached == {("monitoring", process.probed), *strangers}
    outside = {port["port"] for rule in own.get("egress", []) for port in rule["ports"]}
    assert outside == OUTSIDE.get(process.name, set())
    for server in ("kafka", "mongodb"):
        (chosen,) = policies()[server]["podSelector"]["matchExpressions"]
        assert (process.name in chosen["values"]) == (server in process.needs)


def test_nobody_reaches_private_networks() -> None:
    for name in OUTSIDE:
        (rule,) = policies()[name]["egress"]
        blocks = [each["ipBlock"] for each in rule["to"]]
        assert {each["cidr"] for each in blocks} == {"0.0.0.0/0", "2000::/3"}
        assert {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "100.64.0.0/10"} <= {
            *blocks[0]["except"]
        }


def test_routes_lead_to_the_two_services_that_strangers_may_reach() -> None:
    led = {
        rule["backendRefs"][0]["name"]: rule["backendRefs"][0]["port"]
        for each in resources("gateway")
        for rule in each["spec"]["rules"]
    }
    assert led == {process.name: process.port for process in PROCESSES if process.internal_port}


def test_what_scales_reads_by_its_own_group_and_never_beyond_the_partitions() -> None:
    found = {}
    for each in resources("keda"):
        if each["kind"] != "ScaledObject":
            continue
        (trigger,) = each["spec"]["triggers"]
        found[each["metadata"]["name"]] = (trigger["metadata"]["consumerGroup"], trigger["metadata"]["topic"])
        assert each["spec"]["maxReplicaCount"] <= EXCHANGES.partitions
    assert found == {"projector": (PROJECTOR_GROUP, EXCHANGES.name), "notifier": (NOTIFIER_GROUP, ALERTS.name)}


def test_no_file_of_a_component_is_left_out_of_the_docs() -> None:
    told = (Path(__file__).parents[2] / "docs" / "kubernetes.md").read_text()
    for path in COMPONENTS.iterdir():
        assert re.search(rf"`components/{path.name}`", told), path.name


def test_the_topics_are_those_of_the_catalogue() -> None:
    found = {each["metadata"]["name"]: each["spec"] for each in resources("strimzi") if each["kind"] == "KafkaTopic"}
    assert set(found) == {topic.name for topic in CATALOGUE}
    for topic in CATALOGUE:
        spec = found[topic.name]
        assert (spec["partitions"], spec["replicas"]) == (topic.partitions, 3)
        assert spec["config"]["min.insync.replicas"] == "2"
        assert spec["config"].items() >= topic.config.items()


def test_nobody_may_write_or_read_what_the_catalogue_does_not_give_them() -> None:
    for process in PROCESSES:
        may = {(right.name, operation) for right in rights(process.name) for operation in right.operations}
        assert {name for name, operation in may if operation == "Write" and "." in name} == {
            topic.name for topic in CATALOGUE if process.name in topic.writers
        }
        assert {name for name, operation in may if operation == "Read" and "." in name} == {
            topic.name for topic in CATALOGUE if process.name in topic.readers
        }
        assert {name for name, operation in may if operation == "Read" and "." not in name} == {
            group for owner, group in GROUPS.items() if owner == process.name
        }
        assert not {operation for _, operation in may} & {"All", "Delete", "Alter", "AlterConfigs", "ClusterAction"}
    assert {operation for right in rights(SCALER) for operation in right.operations} == {"Describe"}
    users = {each["metadata"]["name"] for each in resources("strimzi") if each["kind"] == "KafkaUser"}
    assert users == {f"rapport-{user}" for user in USERS}
