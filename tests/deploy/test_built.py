"""What is computed is what is committed, and Kubernetes gets all of it."""

import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest
import yaml

from deploy import build
from rapport.processes import PROCESSES


def test_the_files_are_what_the_code_builds() -> None:
    built = build.files()
    for folder in {path.parent for path in built}:
        committed = {path for path in folder.iterdir() if path.suffix in (".yaml", ".json") and _is_built(path)}
        assert committed == {path for path in built if path.parent == folder}
    for path, text in built.items():
        assert path.read_text() == text, f"{path}: python -m deploy.build"


def _is_built(path: Path) -> bool:
    return path.suffix == ".json" or path.read_text().startswith(build.HEAD)


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not on the PATH")
def test_kustomize_adds_it_to_the_base(tmp_path: Path) -> None:
    place = build.DEPLOY.parent / "build" / f"overlay-{tmp_path.name}"
    place.mkdir(parents=True)
    try:
        overlay = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization",
            "resources": ["../../deploy/k8s/base"], "components": ["../../deploy/k8s/components/monitoring"],
        }  # fmt: skip
        (place / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
        made = subprocess.run(
            ["kubectl", "kustomize", str(place)], capture_output=True, text=True, timeout=60, check=True
        )
    finally:
        shutil.rmtree(place)
    kinds = Counter(each["kind"] for each in yaml.safe_load_all(made.stdout))
    assert kinds["PodMonitor"] == len(PROCESSES)
    assert kinds["PrometheusRule"] == 1
    assert kinds["ConfigMap"] == 10
