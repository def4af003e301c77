"""The resources of Kubernetes that are committed, and the rules that any of them keeps."""

import json
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import yaml

from deploy import build

K8S = build.DEPLOY / "k8s"
SCHEMAS = Path(__file__).parent / "schemas"
CUSTOM = {path.stem for path in SCHEMAS.glob("*.json")}
"""Kinds of other projects, with a schema of their own."""

Resource = dict[str, Any]


def built(folder: Path) -> list[Resource]:
    """What `kubectl apply -k` would send to the server."""
    said = subprocess.run(
        ["kubectl", "kustomize", str(folder)], capture_output=True, text=True, timeout=60, check=False
    )
    assert said.returncode == 0, said.stderr
    return [each for each in yaml.safe_load_all(said.stdout) if each]


def check(resource: Resource) -> None:
    """Fails where a resource is not valid, or of a kind that nobody has a schema of."""
    kind = resource["kind"]
    if kind not in CUSTOM:
        kubernetes_validate.validate(resource, kubernetes_validate.latest_version(), strict=True)
        return
    about = json.loads((SCHEMAS / f"{kind}.json").read_text())
    assert resource["apiVersion"] == f"{about['group']}/{about['version']}", resource["metadata"]["name"]
    jsonschema.Draft7Validator(_strict(about["schema"])).validate(resource)


def _strict(schema: Any) -> Any:
    """The schema with no field beside those that it names, as a server checks it that is asked to be strict."""
    if isinstance(schema, list):
        return [_strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: _strict(each) for name, each in schema.items() if name != "properties"}
    if "properties" in schema:
        found["properties"] = {name: _strict(each) for name, each in schema["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            found.setdefault("additionalProperties", False)
        if "apiVersion" in schema["properties"]:
            found["properties"]["metadata"] = {"type": "object"}
    if schema.get("x-kubernetes-int-or-string"):
        found = {"anyOf": [{"type": "integer"}, {"type": "string"}]}
    return found
