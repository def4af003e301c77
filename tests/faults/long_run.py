"""Three workers under load, one after the other taken away in every way there is, for as long as somebody wants."""

import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from kafka import TopicPartition

from rapport.contracts.controls import PolicyRule
from rapport.contracts.events import Interaction
from rapport.contracts.topics import ALERTS, EXCHANGES, Topic
from rapport.kit.broker import kafka
from rapport.local.servers.stack import Running
from tests.faults.history import history
from tests.faults.oracle import finish, through, wrong
from tests.faults.worker import Crew, Worker
from tests.services.scorer.story import HOUR
from tests.services.scorer.worker import broker_now, produce, read_all, send_policy
from tests.services.verify.world import Outcome, Projector, verify
from tests.waiting import until

SESSION_SECONDS = 6
_TARGET_SECONDS = 4.5 * 3600
"""The interactions are of the last five hours: a tenth is overdue when it comes, and some fall due while this runs."""


@dataclass
class LongRun:
    """What was done and what came of it."""

    interactions: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    alerts: int = 0
    seconds: float = 0.0
    """From the first interaction until everything is processed."""
    wrong: list[str] = field(default_factory=list)
    """What the oracle found, in words."""
    verified: Outcome | None = None
    """What `rapport verify` said of the views."""


def long_run(
    running: Running, folder: Path, *, seed: int, interactions: int, faults: int, say: Callable[[str], None]
) -> LongRun:
    """Feeds at least as many interactions while workers are taken away so often; `say` hears of each.

    Whoever starts it gives a broker and a database that hold nothing yet, and an empty folder.
    """
    crew = Crew(running.kafka, folder, 3, session_seconds=SESSION_SECONDS)
    projector = Projector(running, folder)
    try:
        until(crew.ready, "the workers are ready")
        until(projector.ready, "the projector is ready")
        dice = random.Random(f"long run {seed}")
        now = broker_now(running)
        send_policy(
            running, PolicyRule(target_seconds=round(_TARGET_SECONDS), escalate_after_seconds=(600,)), now - 24 * HOUR
        )
        run, ledger, seeds = LongRun(), list[Interaction](), count(seed * 1_000)
        began = time.monotonic()
        deck: list[_Fault] = []
        for number in range(1, faults + 1):
            wanted = interactions * number // faults
            before = _end(running, EXCHANGES)
            while len(ledger) < wanted:
                ledger += (burst := history(next(seeds), min(1_200, wanted - len(ledger)), now))
                produce(running.kafka, burst)
            crew.until(lambda: _end(running, EXCHANGES) > before, "some of it is processed")
            if not deck:
                deck = dice.sample(_FAULTS, len(_FAULTS))
            fault, victim = deck.pop(), dice.choice(crew.workers)
            run.faults[fault.__name__] += 1
            say(f"{number} of {faults}, {len(ledger)} interactions: {victim.instance} {fault.__name__}")
            fault(running, crew, victim)
            if number % 5 == 0:
                projector.stop()
                projector = Projector(running, folder)
            crew.until(crew.ready, "the workers are ready again")
        crew.until(lambda: through(running.kafka), "everything is processed", 600)
        run.interactions, run.seconds = len(ledger), time.monotonic() - began
        say("verifying")
        run.verified = verify(running, settle=30)
        crew.end()
        finish(running.kafka, crew.workers)
        say("comparing with the model")
        run.alerts = len(read_all(running.kafka, ALERTS))
        run.wrong = wrong(running.kafka, ledger, [worker.disk for worker in crew.workers])
        return run
    finally:
        crew.stop()
        projector.stop()


def _end(running: Running, topic: Topic) -> int:
    """How far a topic goes, all partitions together."""
    reader = kafka.consumer(running.kafka, None, "test")
    try:
        return sum(
            reader.end_offsets([TopicPartition(topic.name, number) for number in range(topic.partitions)]).values()
        )
    finally:
        reader.close()


_Fault = Callable[[Running, Crew, Worker], None]


def _others_have_its_share(crew: Crew, victim: Worker) -> None:
    """As long as a killed worker is not back, its session runs out, and the others take over."""
    others = [worker for worker in crew.workers if worker is not victim]
    until(lambda: all(worker.exit_code() is None and worker.ready() for worker in others), "the others are ready", 60)


def killed_and_back_at_once(_: Running, __: Crew, victim: Worker) -> None:
    """Its partitions wait for it."""
    victim.kill()
    victim.start()


def killed_and_back_late(running: Running, crew: Crew, victim: Worker) -> None:
    """The others take over, then it has its old disk."""
    victim.kill()
    until(lambda: through(running.kafka), "the others are through with everything", 120)
    _others_have_its_share(crew, victim)
    victim.start()


def killed_and_back_with_nothing(_: Running, __: Crew, victim: Worker) -> None:
    """Another machine takes its place."""
    victim.kill()
    victim.wipe()
    victim.start()


def ended_and_back(_: Running, __: Crew, victim: Worker) -> None:
    """A deployment."""
    victim.end()
    victim.start()


def ended_and_back_with_nothing(_: Running, __: Crew, victim: Worker) -> None:
    """A deployment to another machine."""
    victim.end()
    victim.wipe()
    victim.start()


def stopped_past_its_session(running: Running, crew: Crew, victim: Worker) -> None:
    """It goes on in the middle of whatever it did, when others have its partitions."""
    victim.hold()
    until(lambda: through(running.kafka), "the others are through with everything", 120)
    _others_have_its_share(crew, victim)
    victim.go_on()


def stopped_and_back_with_nothing(running: Running, crew: Crew, victim: Worker) -> None:
    """A machine that hangs and is replaced."""
    victim.hold()
    until(lambda: through(running.kafka), "the others are through with everything", 120)
    _others_have_its_share(crew, victim)
    victim.kill()
    victim.wipe()
    victim.start()


_FAULTS: list[_Fault] = [
    killed_and_back_at_once,
    killed_and_back_late,
    killed_and_back_with_nothing,
    ended_and_back,
    ended_and_back_with_nothing,
    stopped_past_its_session,
    stopped_and_back_with_nothing,
]


def aloud(what: str) -> None:
    """Says it on stderr."""
    print(f"  {what}", file=sys.stderr, flush=True)
