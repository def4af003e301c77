"""`docker-compose.yml` and the image, held against the processes of an installation. No engine is needed."""

import re
import subprocess
from importlib.metadata import metadata, version
from pathlib import Path
from typing import Any

import pytest
import yaml

from rapport.processes import COMMON_SETTINGS, PROCESSES, Process
from tests.deploy.prometheus import tool

ROOT = Path(__file__).parents[2]
SERVERS = {"kafka", "mongodb", "topics"}
WATCHERS = {"prometheus", "alertmanager", "grafana"}


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    return found


def test_there_is_one_container_for_each_process_and_no_other(services: dict[str, Any]) -> None:
    assert set(services) == {process.name for process in PROCESSES} | SERVERS | WATCHERS
    assert {name for name, service in services.items() if service.get("profiles")} == WATCHERS


@pytest.mark.parametrize("process", PROCESSES, ids=lambda process: process.name)
def test_a_container_runs_its_process_on_its_port_with_exactly_its_settings(
    services: dict[str, Any], process: Process
) -> None:
    service = services[process.name]
    assert service["command"] == [process.name]
    assert set(service["environment"]) == {*COMMON_SETTINGS, *process.settings}
    assert service["environment"]["RAPPORT_PORT"] == str(process.port)
    assert service["ports"] == [f"127.0.0.1:{process.port}:{process.port}"]
    assert service["environment"].get("RAPPORT_INTERNAL_PORT") == (
        str(process.internal_port) if process.internal_port else None
    )
    assert service["healthcheck"]["test"] == ["CMD", "python", "-m", "rapport.healthy", "--ready"]


@pytest.mark.parametrize("process", PROCESSES, ids=lambda process: process.name)
def test_a_container_starts_after_the_topics_and_the_servers_that_its_process_needs(
    services: dict[str, Any], process: Process
) -> None:
    conditions = {name: wanted["condition"] for name, wanted in services[process.name]["depends_on"].items()}
    assert conditions.pop("topics") == "service_completed_successfully"
    assert conditions == dict.fromkeys(process.needs, "service_healthy")


@pytest.mark.parametrize("process", PROCESSES, ids=lambda process: process.name)
def test_what_a_process_keeps_is_on_a_volume_and_the_rest_is_read_only(
    services: dict[str, Any], process: Process
) -> None:
    service = services[process.name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service.get("volumes", []) == ([f"{process.name}:/data"] if "RAPPORT_DATA" in process.settings else [])


def test_nothing_is_reachable_from_other_machines(services: dict[str, Any]) -> None:
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_the_topics_are_made_once_by_the_command_of_that_name(services: dict[str, Any]) -> None:
    topics = services["topics"]
    assert topics["command"] == ["topics", "--replication", "1"]
    assert topics["restart"] == "no"
    assert topics["environment"].items() <= services["api"]["environment"].items()
    assert set(topics["environment"]) == {"RAPPORT_KAFKA", "RAPPORT_PARTITIONS"}


def test_no_secret_is_written_down(services: dict[str, Any]) -> None:
    assert services["api"]["environment"]["RAPPORT_ADMIN_KEY"] == "${RAPPORT_ADMIN_KEY:-}"
    assert services["notifier"]["environment"]["RAPPORT_SMTP"] is None


def test_the_image_runs_as_a_numbered_user_and_exposes_every_port() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    assert "USER 10001:10001" in lines
    assert 'ENTRYPOINT ["rapport"]' in lines
    (check,) = [line for line in lines if line.startswith("HEALTHCHECK ")]
    assert check.endswith('CMD ["python", "-m", "rapport.healthy"]')
    exposed = next(line for line in lines if line.startswith("EXPOSE ")).split()[1:]
    assert sorted(exposed) == sorted(str(port) for process in PROCESSES for port in {process.port, process.probed})


def test_the_image_says_what_it_is_as_the_package_does() -> None:
    labels = dict(re.findall(r'org\.opencontainers\.image\.(\w+)="([^"]*)"', (ROOT / "Dockerfile").read_text()))
    package = metadata("rapport")
    assert labels == {"title": "Rapport", "description": package["Summary"], "version": package["Version"]}


def test_every_image_has_its_tag_in_one_place_and_kubernetes_has_the_same(services: dict[str, Any]) -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    images = yaml.safe_load(text)["x-images"]
    assert set(images.values()) == {service["image"] for service in services.values()}
    assert not re.findall(r"image: [^*]", text), "only by a name of x-images"
    assert all(re.fullmatch(r"[a-z/]+:v?\d[\w.]*", image) for image in images.values())
    base = yaml.safe_load((ROOT / "deploy" / "k8s" / "base" / "kustomization.yaml").read_text())
    assert [f"{each['name']}:{each['newTag']}" for each in base["images"]] == [images["rapport"]]
    assert images["rapport"] == f"rapport:{version('rapport')}"


def test_the_file_that_compose_reads_secrets_from_is_no_part_of_the_source() -> None:
    assert ".env" in (ROOT / ".gitignore").read_text().splitlines()


def test_prometheus_scrapes_every_process_where_it_is_probed_and_reads_our_rules() -> None:
    folder = ROOT / "deploy" / "prometheus"
    config = yaml.safe_load((folder / "compose.yaml").read_text())
    scraped = {each["job_name"]: each["static_configs"][0]["targets"] for each in config["scrape_configs"]}
    assert scraped == {f"rapport-{process.name}": [f"{process.name}:{process.probed}"] for process in PROCESSES}
    check = [tool("promtool"), "check", "config", "--syntax-only", str(folder / "compose.yaml")]
    checked = subprocess.run(check, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_what_is_mounted_is_there(services: dict[str, Any]) -> None:
    for name in WATCHERS:
        for volume in services[name]["volumes"]:
            source = volume.split(":")[0]
            assert not source.startswith("./") or (ROOT / source).exists(), source
