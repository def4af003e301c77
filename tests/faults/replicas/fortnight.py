"""The demonstration's fortnight through a cluster whose replicas come and go: is anything ever missing, or there twice?

The older part comes bit by bit. What happened lately comes at once, so that the order of comments and answers is the
recording's: else somebody would be warned of what is answered. From then on what came before comes again, which
changes nothing. Beside it, each step of the test is watched: see `watch.py`.
"""

import contextlib
import itertools
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import httpx

from rapport.demo import check
from rapport.demo.campaigns import campaigns
from rapport.demo.client import Api, ndjson, signature
from rapport.demo.inbox import Inbox
from rapport.demo.inbox_page import Received
from rapport.demo.plans import plans, unfound
from rapport.demo.recording.feed import Body
from rapport.demo.recording.generator import Recording, record
from services.api.calendar.upkeep import SENT_AGAIN_WITHIN
from tests.faults.replicas.cluster import Cluster, Replica, until_none

AHEAD = timedelta(seconds=60)
"""The recording ends so much later than the test begins, about when its newest part is sent: clocks run out then."""
LATELY = timedelta(hours=28)
AT_ONCE = 100
OFTEN, RARELY = 4.0, 1.0
"""Requests in a second, of `AT_ONCE` interactions each: of what is new, and of what comes again."""
PATIENCE_SECONDS = 60.0
RIGHT_WITHIN_SECONDS = 180.0 + SENT_AGAIN_WITHIN.total_seconds()
"""After everything was away, nobody is reminded of a post until platforms have sent again what came meanwhile."""
FORGOTTEN_FOR = timedelta(minutes=28)
"""Two minutes less than usual: the post that was planned and did not come is missing at the recording's end."""
VIEWS = ("overview", "exchanges", "followers", "alerts", "movers", "calendar", "mix", "consistency", "new")


class CountingInbox(Inbox):
    """An inbox that knows how often each thing came."""

    def __init__(self) -> None:
        self.came: Counter[tuple[str, str]] = Counter()
        super().__init__()

    def _keep(self, found: Received) -> None:
        with self._lock:
            self.came[found.way, found.id] += 1
        super()._keep(found)

    def twice(self) -> list[tuple[str, str]]:
        """What came more than once, by way and stable id."""
        with self._lock:
            return [which for which, times in self.came.items() if times > 1]


class Anyone:
    """Whoever of several replicas answers, as a service of Kubernetes gives it: another one where one is away."""

    def __init__(self, replicas: Sequence[Replica]) -> None:
        self._clients = [httpx.Client(base_url=each.url, timeout=30, trust_env=False) for each in replicas]
        self._next = itertools.cycle(range(len(replicas)))

    def request(self, method: str, path: str, *, patience: float = PATIENCE_SECONDS, **more: object) -> httpx.Response:
        """The answer of one that is not away. Fails where nobody answers for `patience` seconds."""
        end = time.monotonic() + patience
        why = ""
        while time.monotonic() < end:
            for _ in self._clients:
                try:
                    answer = self._clients[next(self._next)].request(method, path, **more)  # type: ignore[arg-type]
                except httpx.TransportError as error:
                    why = f"{type(error).__name__}: {error}"
                    continue
                if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                    return answer
                why = answer.text[:300]
            time.sleep(0.2)
        raise AssertionError(f"nobody answered {method} {path} for {patience:.0f} s: {why}")

    def close(self) -> None:
        """Ends the connections."""
        for each in self._clients:
            each.close()


class Fortnight:
    """The recording on its way through a cluster."""

    def __init__(self, cluster: Cluster, inbox: CountingInbox) -> None:
        self.inbox = inbox
        self.apis = [Api(replica.url, cluster.admin_key) for replica in cluster.of("api")]
        self.doors = Anyone(cluster.of("ingest"))
        self.readers = Anyone(cluster.of("api"))
        self.wrong: list[str] = []
        """What should not have happened meanwhile, in words."""
        self._key = cluster.admin_key
        self._recording: Recording
        self._secrets: dict[str, str] = {}
        self._ended_at: datetime

    def connect(self) -> None:
        """Makes the recording and its three brands, by whichever API."""
        self._recording = record(datetime.now(UTC) + AHEAD)
        for number, brand in enumerate(self._recording.brands):
            api = self.apis[number % len(self.apis)]
            self._secrets.update(api.connect(brand, self._recording.connected_at, self.inbox))
            campaigns(api, brand, self._recording.now)
            plans(api, brand, self._recording)
            settings = {"approval_required": True, "grace_seconds": int(FORGOTTEN_FOR.total_seconds())}
            api.ask("PUT", f"/brands/{brand.id}/calendar/settings", settings)

    @contextlib.contextmanager
    def older(self) -> Iterator[None]:
        """Sends the older part meanwhile, and what is left of it at the end."""
        with self._looked_at(), self._fed(list(self._parts(older=True)), again=False):
            yield

    def newer(self) -> None:
        """Sends the rest, at once."""
        for account, part in self._parts(older=False):
            self._send(account, part)
        self._ended_at = datetime.now(UTC)

    @contextlib.contextmanager
    def again(self) -> Iterator[None]:
        """Sends what has been sent again meanwhile."""
        with self._looked_at(), self._fed(list(self._parts(older=True)), again=True):
            yield

    def _parts(self, *, older: bool) -> Iterator[tuple[str, Sequence[Body]]]:
        since = self._recording.now - LATELY
        for account, bodies in self._recording.deliveries.items():
            newer = (at for at, body in enumerate(bodies) if datetime.fromisoformat(body["occurred_at"]) > since)
            cut = next(newer, len(bodies))
            part = bodies[:cut] if older else bodies[cut:]
            for start in range(0, len(part), AT_ONCE):
                yield account, part[start : start + AT_ONCE]

    def _send(self, account: str, part: Sequence[Body]) -> None:
        body = ndjson(part)
        headers = {
            "Content-Type": "application/x-ndjson",
            "X-Rapport-Account": account,
            "X-Rapport-Signature-256": signature(body, self._secrets[account]),
        }
        end = time.monotonic() + PATIENCE_SECONDS
        while True:
            answer = self.doors.request("POST", "/v1/interactions", content=body, headers=headers)
            # A door may not have read yet that an account was just connected.
            if answer.status_code == httpx.codes.ACCEPTED:
                return
            if answer.status_code != httpx.codes.UNAUTHORIZED or time.monotonic() > end:
                raise AssertionError(f"the door answered {answer.status_code}: {answer.text[:300]}")
            time.sleep(0.2)

    @contextlib.contextmanager
    def _fed(self, parts: list[tuple[str, Sequence[Body]]], *, again: bool) -> Iterator[None]:
        ending = threading.Event()

        def feed() -> None:
            began = time.monotonic()
            for number, (account, part) in enumerate(itertools.cycle(parts) if again else parts):
                if again and ending.is_set():
                    return
                ending.wait(began + number / (RARELY if again else OFTEN) - time.monotonic())
                self._send(account, part)

        with self._beside(feed, ending):
            yield

    @contextlib.contextmanager
    def _looked_at(self) -> Iterator[None]:
        """Somebody looks at every view meanwhile."""
        ending = threading.Event()

        def look() -> None:
            headers = {"Authorization": f"Bearer {self._key}"}
            for brand, view in itertools.cycle(itertools.product(self._recording.brands, VIEWS)):
                if ending.wait(0.5):
                    return
                answer = self.readers.request("GET", f"/v1/brands/{brand.id}/{view}", headers=headers)
                if answer.status_code != httpx.codes.OK:
                    self.wrong.append(f"{view} of {brand.id} answered {answer.status_code}: {answer.text[:200]}")

        with self._beside(look, ending):
            yield

    @contextlib.contextmanager
    def _beside(self, work: object, ending: threading.Event) -> Iterator[None]:
        def run() -> None:
            try:
                work()  # type: ignore[operator]
            except Exception as error:
                self.wrong.append(f"{type(error).__name__}: {error}")

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ending.set()
            thread.join(PATIENCE_SECONDS)

    def until_right(self) -> None:
        """Returns once every API shows what the recording's ledger has, and what had to be told has arrived."""
        until_none(self._differences, RIGHT_WITHIN_SECONDS)

    def _differences(self) -> Iterator[str]:
        for number, api in enumerate(self.apis):
            for brand in self._recording.brands:
                expected = self._recording.expected[brand.id]
                arrived = {one.due_at for one in check.told(api, brand.id, self.inbox)}
                found = [
                    *check.differences(api, brand.id, expected, self._ended_at, datetime.now(UTC)),
                    *unfound(api, brand, self._recording),
                    *(
                        f"{brand.id}: the breach due at {one.due_at} has not arrived by mail and webhook"
                        for one in expected.breaches(self._ended_at)
                        if one.due_at not in arrived
                    ),
                ]
                yield from (f"api-{number}: {each}" for each in found)
        missing = [
            brand.id
            for brand in self._recording.brands
            if not any(
                one.brand == brand.id and one.subject.startswith("post.missing") for one in self.inbox.received()
            )
        ]
        if missing and datetime.now(UTC) > self._recording.now:
            yield f"nobody was told of the post that is missing at {', '.join(missing)}"

    def close(self) -> None:
        """Ends the connections."""
        self.doors.close()
        self.readers.close()
        for api in self.apis:
            api.close()
