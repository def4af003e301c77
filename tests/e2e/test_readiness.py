"""Every process says within 15 s what keeps it from its work, and is well again by itself once that is over."""

import contextlib
import os
import resource
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import pytest
from kafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor

from rapport.contracts.topics import ALERTS
from rapport.kit.broker import kafka
from rapport.kit.broker.member import GroupConsumer, described
from rapport.kit.health import Health
from rapport.local.servers.stack import Running, Stack
from rapport.processes import PROCESSES
from tests.processes import ADMIN_KEY, Service, planned
from tests.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.long]

SOON = 15.0
BACK = 90.0
ENDS = 150.0
FEW_SECONDS = 9.0
GROUPS = {process.name: f"rapport-{process.name}" for process in PROCESSES}


@dataclass
class Whole:
    """All processes, and the servers that only they use."""

    servers: Running
    services: list[Service]

    def ready(self) -> None:
        """Returns once all are."""
        for service in self.services:
            until(lambda: service.says()[0] == 200, f"{service.process.name} is ready, not {service.says()}", BACK)  # noqa: B023

    def say_no_soon(self, services: list[Service], word: str) -> None:
        """All of them do, each within 15 s from now."""
        end = time.monotonic() + SOON
        for service in services:
            until(
                lambda: service.says_no(word),  # noqa: B023
                lambda: f"{service.process.name} names {word}, not {service.says()}",  # noqa: B023
                max(0.1, end - time.monotonic()),
            )

    def none_ended(self, but: Sequence[Service] = ()) -> None:
        """An outage is no reason to end."""
        rest = [service for service in self.services if service not in but]
        assert [service.process.name for service in rest if service.ended() is not None] == []

    @contextmanager
    def frozen(self, server: str) -> Iterator[None]:
        """Meanwhile a server keeps its connections and answers nothing."""
        os.kill(self.servers.pids[server], signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.servers.pids[server], signal.SIGCONT)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    """Every process of the list, started and ready."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RAPPORT_KAFKA", raising=False)
        patch.delenv("RAPPORT_MONGODB", raising=False)
        stack = Stack(folder / "stack")
        servers = stack.up(bound=True, any_port=True)
    its = {
        **servers.kafka_login().variables(), "RAPPORT_KAFKA": servers.kafka, "RAPPORT_MONGODB": servers.mongodb
    }  # fmt: skip
    services = planned(folder, {process.name: its for process in PROCESSES})
    found = Whole(servers, services)
    try:
        for service in services:
            service.start()
        found.ready()
        yield found
    finally:
        for service in services:
            service.end()
        stack.down()


def test_a_frozen_kafka_is_named_by_all_of_them(whole: Whole) -> None:
    with whole.frozen("kafka"):
        whole.say_no_soon(whole.services, "kafka")
    whole.ready()
    whole.none_ended()


def test_a_frozen_mongodb_is_named_by_all_that_need_it_and_only_by_them(whole: Whole) -> None:
    need = [service for service in whole.services if "mongodb" in service.process.needs]
    with whole.frozen("mongodb"):
        whole.say_no_soon(need, "mongodb")
        assert {service.says()[0] for service in whole.services if service not in need} == {200}
    whole.ready()
    whole.none_ended()


def test_while_mongodb_is_frozen_every_get_of_the_api_fails_within_seconds_as_a_problem(whole: Whole) -> None:
    (api,) = [service for service in whole.services if service.process.name == "api"]
    with httpx.Client(base_url=api.url, headers={"Authorization": f"Bearer {ADMIN_KEY}"}, timeout=60) as client:
        created = client.post("/v1/brands", json={"id": "acme", "name": "Acme", "timezone": "UTC"})
        assert created.status_code in (201, 409)
        document = client.get("/v1/openapi.json").json()
        paths = [path.replace("{brand}", "acme") for path, verbs in document["paths"].items() if "get" in verbs]
        assert len(paths) > 20

        def ask(path: str) -> tuple[str, int, str, float]:
            began = time.monotonic()
            answer = client.get(path)
            return path, answer.status_code, answer.headers.get("content-type", ""), time.monotonic() - began

        with whole.frozen("mongodb"), ThreadPoolExecutor(len(paths)) as pool:
            answers = list(pool.map(ask, paths))
    assert [answer for answer in answers if answer[3] > FEW_SECONDS] == []
    assert [answer for answer in answers if answer[1] not in (422, 503)] == []
    assert {kind for _, _, kind, _ in answers} == {"application/problem+json"}
    assert sum(status == 503 for _, status, _, _ in answers) > len(answers) / 2
    whole.ready()


def test_a_full_disk_is_named_by_all_that_keep_files(whole: Whole) -> None:
    keep = [service for service in whole.services if "RAPPORT_DATA" in service.process.settings]
    assert keep
    before = {}
    for service in keep:
        assert service.running is not None
        # No room for a single byte more, as far as this process is concerned.
        pid = service.running.pid
        before[pid] = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, before[pid][1]))
    try:
        # Who ends over it is started again, and then says so; here nobody starts it.
        end = time.monotonic() + SOON
        for service in keep:
            what = f"{service.process.name} names its disk"
            until(lambda: service.ended() or service.says_no("disk"), what, max(0.1, end - time.monotonic()))  # noqa: B023
    finally:
        for pid, limits in before.items():
            with contextlib.suppress(ProcessLookupError):
                resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)
    for service in keep:
        if service.ended() is not None:
            service.start()
    whole.ready()


def test_whoever_was_stopped_past_its_session_is_a_member_again(whole: Whole) -> None:
    groups = _groups(whole)
    with _stopped_and_dropped(whole, groups):
        pass
    whole.ready()
    whole.none_ended()


def test_whoever_is_set_to_another_number_of_partitions_does_nothing_and_says_so(whole: Whole) -> None:
    for service in whole.services:
        service.end()
        service.environment["RAPPORT_PARTITIONS"] = "5"
        service.start()
    try:
        for service in whole.services:
            until(
                lambda: service.says_no(f"{ALERTS.name} has 4 instead of 5"),  # noqa: B023
                lambda: f"{service.process.name} says why, not {service.says()}",  # noqa: B023
                BACK,
            )
        whole.none_ended()
    finally:
        for service in whole.services:
            service.end()
            del service.environment["RAPPORT_PARTITIONS"]
            service.start()
    whole.ready()


@pytest.mark.faults
def test_whoever_lost_its_group_for_good_says_so_and_ends_to_be_started_again(whole: Whole) -> None:
    groups = _groups(whole)
    with contextlib.ExitStack() as strangers:
        with _stopped_and_dropped(whole, groups):
            for _, group in groups:
                # With a member that shares none of their ways to assign partitions, nobody else gets in.
                strangers.enter_context(_stranger(whole.servers.kafka, group))
        # Ingest goes on taking what senders bring, and tries for as long as it takes.
        ending = [service for service, _ in groups if service.process.name != "ingest"]
        whole.say_no_soon(ending, "group")
        for service in ending:
            until(lambda: service.ended() is not None, f"{service.process.name} has ended", ENDS)  # noqa: B023
            assert service.ended() != 0
    whole.none_ended(but=ending)
    for service in ending:
        service.start()
    whole.ready()


def _groups(whole: Whole) -> list[tuple[Service, str]]:
    """Every group that there is, and whose it is; one that is no process's fails the test."""
    admin = kafka.admin(whole.servers.kafka)
    there = {found["group_id"] for found in admin.list_groups()}
    admin.close()
    found = [(service, GROUPS[service.process.name]) for service in whole.services]
    mine = [(service, group) for service, group in found if group in there]
    assert there == {group for _, group in mine}
    assert len(mine) == 4
    return mine


@contextmanager
def _stopped_and_dropped(whole: Whole, groups: list[tuple[Service, str]]) -> Iterator[None]:
    """Meanwhile the processes stand still, and the broker has given up on them."""
    for service, _ in groups:
        service.send(signal.SIGSTOP)
    try:
        for _, group in groups:
            describe = described(whole.servers.kafka, group)
            until(lambda: not describe().members, f"{group} has nobody", BACK)  # noqa: B023
            describe.close()
        yield
    finally:
        for service, _ in groups:
            service.send(signal.SIGCONT)


@contextmanager
def _stranger(bootstrap: str, group: str) -> Iterator[None]:
    """A member of the group that keeps others out."""
    stop = threading.Event()
    ways, topics = (StickyPartitionAssignor,), {ALERTS.name: ALERTS.partitions}
    consumer = GroupConsumer(bootstrap, group, "stranger", topics, Health(), stop, partition_assignment_strategy=ways)

    def poll() -> None:
        while not stop.is_set():
            consumer.poll(200)

    thread = threading.Thread(target=poll)
    thread.start()
    describe = described(bootstrap, group)
    try:
        until(lambda: describe().state == "Stable", "the stranger is in", BACK)
        yield
    finally:
        stop.set()
        thread.join()
        consumer.close()
        describe.close()
