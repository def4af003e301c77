"""Gives both overlays to a Kubernetes of its own: `python -m tests.cluster`.

Exit codes: 0, all was well; 1, the manifests are at fault; 2, nothing was tried, because no cluster can be had.
"""

import contextlib
import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from tests.cluster.control_plane import ControlPlane, KubectlError, NoClusterError
from tests.deploy.resources import K8S, SCHEMAS, Resource, built
from tests.steps import run, step
from tests.waiting import until

_OVERLAYS = {"dev": "rapport-dev", "prod": "rapport"}
_PLURALS = {"Kafka": "kafkas", "MongoDBCommunity": "mongodbcommunity"}
"""Where a kind's plural is not its small letters and an `s`."""
_ZONES = ("a", "b", "c")
_NODE = {"cpu": "32", "memory": "128Gi", "pods": "110", "ephemeral-storage": "100Gi"}
_VOLUMES = 40
_STRICT = ("--server-side", "--validate=strict")
_SETTLE_SECONDS = 120.0


def main() -> int:
    """Runs all steps."""
    return run(_steps, "The manifests were", "The manifests are", wrong=KubectlError, impossible=(NoClusterError,))


def _steps(folder: Path, ending: contextlib.ExitStack) -> None:
    with step("build Kubernetes, if it is not in the cache, and start it"):
        cluster = ending.enter_context(ControlPlane(folder))
    with step("machines, volumes and the kinds of other projects"):
        _equip(cluster)
    for overlay, namespace in _OVERLAYS.items():
        resources = built(K8S / "overlays" / overlay)
        with step(f"{overlay}: the server takes it all in a dry run, and has no warning"):
            _apply(cluster, [each for each in resources if each["kind"] in ("Namespace", "PriorityClass")])
            _apply(cluster, resources, "--dry-run=server")
        with step(f"{overlay}: it takes it all, and once more without a change"):
            _apply(cluster, resources)
            before = _versions(cluster, resources, namespace)
            _apply(cluster, resources)
            assert _versions(cluster, resources, namespace) == before
        with step(f"{overlay}: all pods are let in, and each finds a machine"):
            _check_pods(cluster, resources, namespace)
        with step(f"{overlay}: each service leads to its pods, and each budget covers its own"):
            _say_that_they_run(cluster, namespace)
            _check_services(cluster, resources, namespace)
            _check_budgets(cluster, resources, namespace)
        with step(f"{overlay}: a pod that may do more is refused"):
            _check_refusals(cluster, resources, namespace)


def _equip(cluster: ControlPlane) -> None:
    cluster.kubectl("apply", *_STRICT, "-f", "-", given=_list([_definition(path) for path in SCHEMAS.glob("*.json")]))
    cluster.kubectl("wait", "--for=condition=Established", "customresourcedefinitions", "--all", "--timeout=60s")
    for zone in _ZONES:
        name = f"machine-{zone}"
        labels = {"kubernetes.io/hostname": name, "topology.kubernetes.io/zone": zone, "kubernetes.io/os": "linux"}
        cluster.kubectl(
            "apply", "-f", "-",
            given={"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}},
        )  # fmt: skip
        state = {"capacity": _NODE, "allocatable": _NODE, "conditions": [{"type": "Ready", "status": "True"}]}
        _patch_status(cluster, state, "node", name)
    about = {"apiVersion": "storage.k8s.io/v1", "provisioner": "kubernetes.io/no-provisioner"}
    default = {"name": "given", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}
    waiting = {"volumeBindingMode": "WaitForFirstConsumer"}
    cluster.kubectl("apply", "-f", "-", given={"kind": "StorageClass", "metadata": default, **about, **waiting})
    cluster.kubectl("apply", "-f", "-", given=_list([_volume(number) for number in range(_VOLUMES)]))


def _definition(path: Path) -> Resource:
    about, kind = json.loads(path.read_text()), path.stem
    plural = _PLURALS.get(kind, f"{kind.lower()}s")
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        # Kubernetes asks for it where the group is one of its own, as that of the gateways is.
        "metadata": {"name": f"{plural}.{about['group']}", "annotations": {"api-approved.kubernetes.io": "unapproved"}},
        "spec": {
            "group": about["group"],
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural, "singular": kind.lower(), "listKind": f"{kind}List"},
            "versions": [
                {
                    "name": about["version"],
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "schema": {"openAPIV3Schema": about["schema"]},
                }
            ],
        },
    }


def _volume(number: int) -> Resource:
    zone = _ZONES[number % len(_ZONES)]
    only_there = {"key": "topology.kubernetes.io/zone", "operator": "In", "values": [zone]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"volume-{number}"},
        "spec": {
            "capacity": {"storage": "1Ti"},
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "given",
            "local": {"path": f"/{number}"},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [only_there]}]}},
        },
    }


def _list(items: list[Resource]) -> Resource:
    return {"apiVersion": "v1", "kind": "List", "items": items}


def _apply(cluster: ControlPlane, resources: list[Resource], *options: str) -> None:
    said = cluster.kubectl("apply", *_STRICT, *options, "-f", "-", given=_list(resources))
    assert not said.stderr, said.stderr
    assert len(said.stdout.splitlines()) == len(resources), said.stdout


def _versions(cluster: ControlPlane, resources: list[Resource], namespace: str) -> dict[tuple[str, str], int]:
    """The generation of each: it grows with each change of what is wanted."""
    kinds = ",".join(sorted({_typed(each) for each in resources if "namespace" in each["metadata"]}))
    found = cluster.items(kinds, "--namespace", namespace)
    ours = {(each["kind"], each["metadata"]["name"]) for each in resources}
    return {
        key: each["metadata"].get("generation", 0)
        for each in found
        if (key := (each["kind"], each["metadata"]["name"])) in ours
    }


def _typed(resource: Resource) -> str:
    group, _, version = resource["apiVersion"].rpartition("/")
    return f"{resource['kind'].lower()}.{version}.{group}" if group else resource["kind"].lower()


def _workloads(resources: list[Resource]) -> dict[str, Resource]:
    return {each["metadata"]["name"]: each for each in resources if each["kind"] in ("Deployment", "StatefulSet")}


def _pods(cluster: ControlPlane, namespace: str, component: str | None = None) -> list[Resource]:
    wanted = ("--selector", f"app.kubernetes.io/component={component}") if component else ()
    return cluster.items("pods", "--namespace", namespace, *wanted)


def _check_pods(cluster: ControlPlane, resources: list[Resource], namespace: str) -> None:
    wanted = sum(each["spec"]["replicas"] for each in _workloads(resources).values())

    def placed() -> bool:
        pods = _pods(cluster, namespace)
        return len(pods) == wanted and all(pod["spec"].get("nodeName") for pod in pods)

    until(placed, lambda: f"{wanted} pods on machines; {_complaints(cluster, namespace)}", _SETTLE_SECONDS)
    for name, workload in _workloads(resources).items():
        machines = {pod["spec"]["nodeName"] for pod in _pods(cluster, namespace, name)}
        assert len(machines) == min(workload["spec"]["replicas"], len(_ZONES)), (name, machines)


def _complaints(cluster: ControlPlane, namespace: str) -> str:
    events = cluster.items("events", "--namespace", namespace, "--field-selector", "type=Warning")
    return "; ".join(sorted({f"{each['involvedObject']['name']}: {each['message']}" for each in events}))


def _say_that_they_run(cluster: ControlPlane, namespace: str) -> None:
    """What a machine would report of each of its pods."""
    for number, pod in enumerate(_pods(cluster, namespace), 1):
        states = [{"type": each, "status": "True"} for each in ("PodScheduled", "ContainersReady", "Ready")]
        address = f"10.1.{len(namespace)}.{number}"
        state = {"phase": "Running", "conditions": states, "podIP": address, "podIPs": [{"ip": address}]}
        _patch_status(cluster, state, "pod", pod["metadata"]["name"], "--namespace", namespace)


def _patch_status(cluster: ControlPlane, state: Any, *what: str) -> None:
    cluster.kubectl("patch", *what, "--subresource=status", "--type=merge", "-p", json.dumps({"status": state}))


def _check_services(cluster: ControlPlane, resources: list[Resource], namespace: str) -> None:
    """Each leads to every pod of its component, on the port whose name it has."""
    for service in (each for each in resources if each["kind"] == "Service"):
        name, component = service["metadata"]["name"], service["spec"]["selector"]["app.kubernetes.io/component"]
        addresses = {pod["status"]["podIP"] for pod in _pods(cluster, namespace, component)}
        assert addresses, f"service {name} is for {component}, of which there is no pod"
        ports = len(service["spec"]["ports"])

        led_to = partial(_led_to, cluster, namespace, name, ports)
        _until_equal(led_to, addresses, f"where service {name} leads")


def _led_to(cluster: ControlPlane, namespace: str, service: str, ports: int) -> set[str]:
    of_it = ("--namespace", namespace, "--selector", f"kubernetes.io/service-name={service}")
    return {
        address
        for each in cluster.items("endpointslices", *of_it)
        if len(each["ports"] or ()) == ports
        for endpoint in each["endpoints"] or ()
        if endpoint["conditions"]["ready"]
        for address in endpoint["addresses"]
    }


def _until_equal(found: Callable[[], Any], wanted: Any, what: str) -> None:
    until(lambda: found() == wanted, lambda: f"{what}: {wanted}, but found {found()}", _SETTLE_SECONDS)


def _check_budgets(cluster: ControlPlane, resources: list[Resource], namespace: str) -> None:
    replicas = {name: each["spec"]["replicas"] for name, each in _workloads(resources).items()}
    budgets = {each["metadata"]["name"] for each in resources if each["kind"] == "PodDisruptionBudget"}
    assert budgets == replicas.keys()

    def covered() -> dict[str, int]:
        found = cluster.items("poddisruptionbudgets", "--namespace", namespace)
        return {each["metadata"]["name"]: each.get("status", {}).get("expectedPods", 0) for each in found}

    _until_equal(covered, replicas, "pods that each budget covers")


def _check_refusals(cluster: ControlPlane, resources: list[Resource], namespace: str) -> None:
    """The namespace keeps out what its label says, so that the pods above were let in for what they are."""
    template = _workloads(resources)["api"]["spec"]["template"]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "more", "namespace": namespace}}
    said = ""
    try:
        cluster.kubectl(
            "create", "-f", "-", "--dry-run=server", given={**pod, "spec": {**template["spec"], "hostNetwork": True}}
        )
    except KubectlError as error:
        said = str(error)
    assert "violates PodSecurity" in said, f"{namespace} lets a pod use its machine's network: {said}"


if __name__ == "__main__":
    sys.exit(main())
