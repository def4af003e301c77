"""The image's bill of materials."""

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from deploy import sbom
from tests.deploy.test_locks import pinned


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> str:
    target = tmp_path_factory.mktemp("sbom") / "build" / "rapport.cdx.json"
    sbom.write(target)
    return target.read_text()


def components(written: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(written)["components"]
    return found


def test_it_keeps_to_the_schema(written: str) -> None:
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    assert validator.validate_str(written) is None
    assert validator.validate_str(written.replace('"components"', '"parts"')) is not None, "the validator looks"


def test_it_is_about_this_version_and_names_what_the_image_gets_each_with_its_hashes(written: str) -> None:
    root = json.loads(written)["metadata"]["component"]
    assert (root["type"], root["name"], root["version"]) == ("application", "rapport", version("rapport"))
    locked = pinned("requirements.image.lock")
    named = {each["name"]: each["version"] for each in components(written)}
    assert named.items() <= {**locked, "deprecated": "1.3.1"}.items()
    assert set(locked) - set(named) == {"colorama"}, "for Windows alone"
    for each in components(written):
        hashes = [given for source in each["externalReferences"] for given in source.get("hashes", [])]
        assert hashes, each["name"]
        assert {given["alg"] for given in hashes} == {"SHA-256"}
        assert each["purl"] == f"pkg:pypi/{each['name']}@{each['version']}"


def test_the_same_lock_makes_the_same_file(written: str, tmp_path: Path) -> None:
    sbom.write(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_text() == written


def test_only_what_the_markers_let_in_is_installed() -> None:
    lock = (
        "one==1 ; sys_platform == 'win32' \\\n    --hash=sha256:aa\n    # via two\n"
        "two==2 ; python_full_version < '3.12' \\\n    --hash=sha256:bb \\\n    --hash=sha256:cc\n"
        "three==3 \\\n    --hash=sha256:dd\n"
    )
    assert [" ".join(line.split()) for line in sbom.installed(lock).splitlines()] == [
        "two==2 --hash=sha256:bb --hash=sha256:cc",
        "three==3 --hash=sha256:dd",
    ]
