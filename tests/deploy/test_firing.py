"""Alerts fire on a real Prometheus when a running installation is broken, and end when it is well again.

The expressions are those of the rules. Their waiting times are cut to seconds: nobody waits ten minutes for a test.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType

from deploy.grafana import build
from deploy.prometheus import rules
from rapport.contracts.topics import ALERTS, CONVERSATIONS, ENGAGEMENTS
from rapport.local import running_installation
from rapport.local.running_installation import RunningInstallation
from tests.deploy.prometheus import scraping
from tests.services.ingest.service import tell
from tests.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

WAIT = "2s"
FIRES_SECONDS = 120.0


@dataclass
class Watched:
    """An installation with a Prometheus that looks at it."""

    data: Path
    line: RunningInstallation
    prometheus: httpx.Client

    def firing(self, alert: str, **labels: str) -> list[dict[str, Any]]:
        """What fires now of one alert, with these labels."""
        found = self.prometheus.get("/alerts").json()["data"]["alerts"]
        return [
            each
            for each in found
            if each["labels"]["alertname"] == alert
            and each["state"] == "firing"
            and labels.items() <= each["labels"].items()
        ]

    def fires(self, alert: str, **labels: str) -> None:
        """Returns once it does."""
        until(lambda: self.firing(alert, **labels), lambda: f"{alert} fires: {self.said()}", FIRES_SECONDS)

    def ends(self, alert: str, **labels: str) -> None:
        """Returns once it fires no more."""
        until(lambda: not self.firing(alert, **labels), f"{alert} ends", FIRES_SECONDS)

    def said(self) -> Any:
        """Everything that fires or waits to."""
        found = self.prometheus.get("/alerts").json()["data"]["alerts"]
        return [(each["labels"]["alertname"], each["labels"].get("job"), each["state"]) for each in found]

    def shown(self, expression: str) -> dict[str, float]:
        """What a panel shows, by job."""
        found = self.prometheus.post("/query", data={"query": expression}).json()["data"]["result"]
        return {each["metric"]["job"]: float(each["value"][1]) for each in found}

    @contextmanager
    def frozen(self, part: str) -> Iterator[None]:
        """Meanwhile a process stands still."""
        status = running_installation.status(self.data)
        assert status is not None
        os.kill(status.pids[part], signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(status.pids[part], signal.SIGCONT)

    def admin(self) -> KafkaAdminClient:
        """Kafka's administration."""
        return KafkaAdminClient(bootstrap_servers=self.line.kafka, **self.line.kafka_login().options())


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """Both, running and well."""
    folder = tmp_path_factory.mktemp("watched")
    data = folder / "data"
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("RAPPORT_")},
        "RAPPORT_ALLOW_PRIVATE": "true",
        "RAPPORT_BREACH_GRACE_SECONDS": "0",
    }
    with (folder / "up.log").open("w") as log:
        command = [sys.executable, "-m", "rapport.cli", "up", "--data", str(data)]
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    try:
        line = until(lambda: running_installation.status(data), lambda: f"it runs: {(folder / 'up.log').read_text()}")
        with scraping(line.internal, _hurried(folder), folder) as prometheus:
            found = Watched(data, line, prometheus)
            until(lambda: _all_up(prometheus), "Prometheus reaches every process, and each is ready")
            yield found
    finally:
        process.terminate()
        process.wait(60)


def _all_up(prometheus: httpx.Client) -> bool:
    answer = prometheus.get("/query", params={"query": 'min(up{job=~"rapport.*"}) * min(rapport_ready)'})
    if answer.status_code != 200:
        return False
    return [each["value"][1] for each in answer.json()["data"]["result"]] == ["1"]


def _hurried(folder: Path) -> Path:
    """The rules, with their waiting times cut."""
    content = rules.rules()
    for group in content["groups"]:
        for each in group["rules"]:
            if "alert" in each:
                each["for"] = WAIT
    path = folder / "rules.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_none_of_them_fires_while_all_is_well(watched: Watched) -> None:
    # What measures times is left out: with its waiting time cut, it would tell how fast this machine is.
    times = ("RapportLoopSlow", "RapportApiSlow", "RapportViewsLate", "RapportAlertsLate")
    until(
        lambda: not [each for each in watched.said() if each[2] == "firing" and each[0] not in times],
        lambda: f"none of them fires: {watched.said()}",
    )


@pytest.mark.parametrize("service", ["scorer", "notifier"])
def test_a_process_that_stands_still_is_down(watched: Watched, service: str) -> None:
    with watched.frozen(service):
        watched.fires("RapportProcessDown", job=f"rapport-{service}")
        # The first page that an operator opens names it too.
        board = json.loads(build.built()["rapport-agency.json"])
        (panel,) = (each for each in board["panels"] if each["title"] == "Processes")
        shown = watched.shown(panel["targets"][0]["expr"].replace("$environment", ".*"))
        assert {job for job, up in shown.items() if up == 0} == {f"rapport-{service}"}
    watched.ends("RapportProcessDown")


def test_without_mongodb_all_that_need_it_are_not_ready(watched: Watched) -> None:
    with watched.frozen("mongodb"):
        for service in ("api", "notifier", "projector"):
            watched.fires("RapportNotReady", job=f"rapport-{service}")
        assert not watched.firing("RapportNotReady", job="rapport-scorer")
    watched.ends("RapportNotReady")


def test_without_kafka_what_ingest_writes_is_not_acknowledged(watched: Watched) -> None:
    headers = {"Authorization": f"Bearer {watched.line.admin_key}"}
    with httpx.Client(base_url=f"{watched.line.api}/v1", headers=headers, timeout=30) as api:
        made = api.post("/brands", json={"id": "quiet", "name": "Quiet", "timezone": "UTC"})
        assert made.status_code == 201, made.text
        account = {"id": "quiet-help", "platform": "helpdesk", "handle": "Help"}
        secret = api.post("/brands/quiet/accounts", json=account).json()["door_secret"]
    message = {"id": "1", "kind": "message", "actor": {"id": "bo"}, "text": "Hello?"}
    until(lambda: _status(watched, secret, message) == 202, "the door takes it")
    with watched.frozen("kafka"):
        # The sender hears 503 in the end, and may send it again.
        until(lambda: _status(watched, secret, {**message, "id": "2"}) == 503, "the door says no")
        watched.fires("RapportProduceFailing")
    until(lambda: _status(watched, secret, {**message, "id": "2"}) == 202, "the door takes it again")


def test_the_first_dead_letter_of_a_process_is_told(watched: Watched) -> None:
    script = f"""
from kafka import KafkaProducer
from rapport.kit.broker.kafka_login import login
producer = KafkaProducer(bootstrap_servers={watched.line.kafka!r}, **login())
for topic, kind in (({CONVERSATIONS.name!r}, b"rapport.interaction.v1"), ({ALERTS.name!r}, b"rapport.alert.v1")):
    producer.send(topic, b"no json", key=b"k", partition=0, headers=[("ce_type", kind)]).get(30)
producer.close()
"""
    environment = {**os.environ, **watched.line.kafka_login().variables()}
    subprocess.run([sys.executable, "-c", script], env=environment, check=True, timeout=60)
    for service in ("scorer", "projector", "notifier"):
        watched.fires("RapportDeadLetters", job=f"rapport-{service}")


def test_a_topic_that_keeps_too_little_is_told(watched: Watched) -> None:
    admin = watched.admin()
    try:
        short = ConfigResource(ConfigResourceType.TOPIC, ENGAGEMENTS.name, configs={"retention.ms": "1000000"})
        admin.alter_configs([short])
    finally:
        admin.close()
    # A process looks when it starts; the supervisor starts it again.
    status = running_installation.status(watched.data)
    assert status is not None
    os.kill(status.pids["projector"], signal.SIGKILL)
    watched.fires("RapportSettingsShort", job="rapport-projector")


def test_a_key_that_soon_expires_is_told(watched: Watched) -> None:
    soon = (datetime.now(UTC) + timedelta(days=3)).isoformat()
    body = {"name": "For a while", "brands": None, "scopes": ["read"], "expires_at": soon}
    headers = {"Authorization": f"Bearer {watched.line.admin_key}"}
    made = httpx.post(f"{watched.line.api}/v1/keys", json=body, headers=headers, timeout=30)
    assert made.status_code == 201, made.text
    watched.fires("RapportKeyExpires", key=made.json()["id"])


def _status(watched: Watched, secret: str, interaction: dict[str, Any]) -> int:
    """What the door answers to a signed interaction."""
    return tell(watched.line.ingest, "quiet-help", secret, interaction).status_code
