"""One world for all tests here, with a day of everything in it."""

from collections.abc import Iterator

import pytest

from rapport.contracts.controls import Decided, Heartbeat
from rapport.contracts.topics import CONVERSATIONS, ENGAGEMENTS
from rapport.domain.times import utc
from tests.services.scorer.worker import broker_now, produce
from tests.services.verify import days
from tests.services.verify.world import World, world
from tests.waiting import until


@pytest.fixture(scope="session")
def busy_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Through with two busy days; between them some exchanges were decided upon, and settings changed."""
    with world(tmp_path_factory.mktemp("verify")) as found:
        now = broker_now(found.running)
        settings = {"name": "A brand", "timezone": "Europe/Oslo"}
        found.views["brands"].insert_many([{"_id": brand, "settings": settings} for brand in ("acme", "zeta")])
        *first, last = days.policies(now)
        found.control(*first, days.connected(now), Heartbeat(instance="ingest-1", behind=("acme-2",)))
        produce(found.running.kafka, days.busy(1, 900, now))
        found.poison(CONVERSATIONS.name, 1, [b"not json", b"{}"])
        found.poison(ENGAGEMENTS.name, 2, [b"[]"])
        found.through()
        open_now = {"brand": "acme", "state": "open", "breached_at": None, "thread": {"$regex": "^post-"}}
        until(lambda: found.views["exchanges"].count_documents(open_now) > 3, "some exchanges wait")
        found.control(
            *(
                Decided(
                    id=f"k{number}", brand="acme", platform="generic", thread=each["thread"], exchange=each["_id"],
                    follower=each["follower"]["id"], at=utc(now), by="Grace", why="a joke", spam=number % 2 == 0,
                )
                for number, each in enumerate(found.views["exchanges"].find(open_now))
            ),
            everywhere=False,
        )  # fmt: skip
        found.engage(*days.aways(now))
        found.control(last, days.disconnected(now))
        produce(found.running.kafka, days.busy(2, 900, now))
        found.through()
        found.read_twice()
        yield found
