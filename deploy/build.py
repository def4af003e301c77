"""Writes everything in `deploy/` that is computed: `python -m deploy.build`."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from deploy.grafana import build as dashboards
from deploy.kafka import workloads
from deploy.kafka.topics import topics
from deploy.kafka.users import users
from deploy.prometheus import rules
from rapport.processes import PROCESSES

DEPLOY = Path(__file__).parent
COMPONENTS = DEPLOY / "k8s" / "components"
MONITORING, STRIMZI = COMPONENTS / "monitoring", COMPONENTS / "strimzi"
HEAD = "# Written by python -m deploy.build\n"


class _Plain(yaml.SafeDumper):
    """Repeats what is used twice, where YAML would refer to it."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's signature
        return True


def files() -> dict[Path, str]:
    """The text of each file."""
    built = dashboards.built()
    return {
        DEPLOY / "prometheus" / "rules.yaml": HEAD + _yaml(rules.rules()),
        **{DEPLOY / "grafana" / "dashboards" / name: text for name, text in built.items()},
        MONITORING / "rules.yaml": HEAD + _yaml(_resource("PrometheusRule", "rapport", spec=rules.rules())),
        MONITORING / "pods.yaml": _all(_pod_monitors()),
        MONITORING / "dashboards.yaml": _all(_dashboard(*each) for each in built.items()),
        STRIMZI / "topics.yaml": _all(topics()),
        STRIMZI / "users.yaml": _all(users()),
        STRIMZI / "logins.yaml": _all(workloads.logins()),
        COMPONENTS / "mongodb-community" / "uris.yaml": _all(workloads.uris()),
    }


def _pod_monitors() -> list[dict[str, Any]]:
    found = []
    for process in PROCESSES:
        component = {"app.kubernetes.io/component": process.name}
        endpoint = {
            "port": "internal" if process.internal_port else "http",
            "relabelings": [
                {"targetLabel": "job", "replacement": f"rapport-{process.name}"},
                # An overlay puts its own name here.
                {"targetLabel": "environment", "replacement": "prod"},
            ],
        }
        spec = {"selector": {"matchLabels": component}, "podMetricsEndpoints": [endpoint]}
        found.append(_resource("PodMonitor", process.name, spec=spec))
    return found


def _resource(kind: str, name: str, **more: Any) -> dict[str, Any]:
    return {"apiVersion": "monitoring.coreos.com/v1", "kind": kind, "metadata": {"name": name}, **more}


def _dashboard(file: str, text: str) -> dict[str, Any]:
    """A ConfigMap as Grafana's sidecar looks for it."""
    labels = {"grafana_dashboard": "1"}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": file.removesuffix(".json"), "labels": labels},
        "data": {file: text},
    }


def _all(documents: Iterable[Any]) -> str:
    return HEAD + "---\n".join(map(_yaml, documents))


def _yaml(document: Any) -> str:
    text: str = yaml.dump(document, Dumper=_Plain, sort_keys=False, width=140)
    return text


if __name__ == "__main__":
    for path, text in files().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
