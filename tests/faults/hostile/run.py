"""An installation whose one client is attacked while another is looked at: is anything of the other's ever wrong?"""

import asyncio
import contextlib
import hashlib
import hmac
import json
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import cycle
from typing import Any

import httpx

from rapport.local.installation import Installation
from rapport.local.running_installation import RunningInstallation
from services.api.http.ids import follower_ref
from tests.faults.hostile import strangers
from tests.services.ingest.jetstream import Jetstream
from tests.services.notifier.receivers import WebhookReceiver

CALM, ATTACKED = "calm", "attacked"
VIEWS = (
    "overview", "exchanges", "followers", "alerts", "answering", "movers", "mix", "consistency", "new", "calendar",
)  # fmt: skip
PAGES = ("", "/exchanges", "/followers", "/movers", "/calendar", "/mix", "/consistency", "/new", "/campaigns")
TARGET_SECONDS = 15
UNANSWERED_EVERY = 5
"""Each fifth comment of the calm client stays without an answer."""
SAMPLED_EVERY = 10
CALM_PER_SECOND = 20
ASK_SECONDS = 0.02
AWAY_SECONDS = 60.0
"""Until a process that was killed has to answer again."""
PATIENCE_SECONDS = 180.0
KILLED = ("scorer", "notifier", "projector", "ingest", "api")


@dataclass
class HostileRun:
    """What was done, and what came of it."""

    calm: int = 0
    """Interactions of the calm client; all were accepted."""
    hostile: Counter[str] = field(default_factory=Counter)
    """What the door answered to the attacked client's, by status."""
    asked: Counter[str] = field(default_factory=Counter)
    """What the API answered to the attacked client's, by status."""
    killed: Counter[str] = field(default_factory=Counter)
    visible: list[float] = field(default_factory=list)
    """Seconds from the door's 202 to the API showing the exchange, of some of the calm client's comments."""
    wrong: list[str] = field(default_factory=list)
    """What should not have happened, in words."""


class Client:
    """A client of the agency with an account behind the door."""

    def __init__(self, line: Callable[[], RunningInstallation], brand: str) -> None:
        self.brand = brand
        self._line = line
        found = line()
        limits = httpx.Limits(max_connections=100)
        self.api = httpx.AsyncClient(base_url=f"{found.api}/v1", timeout=60, limits=limits)
        self.api.headers["Authorization"] = f"Bearer {found.admin_key}"
        self.door = httpx.AsyncClient(base_url=found.ingest, timeout=60, limits=limits)
        self._secret = b""

    async def connect(self, channels: list[dict[str, Any]]) -> None:
        """Makes brand, policy, channels and account, and returns when the door knows the account."""
        await self._made("POST", "/brands", {"id": self.brand, "name": self.brand, "timezone": "Europe/Oslo"})
        rules = [{"target_seconds": TARGET_SECONDS, "warn_at": []}]
        await self._made("PUT", f"/brands/{self.brand}/policy", {"rules": rules})
        await self._made("PUT", f"/brands/{self.brand}/channels", {"channels": channels})
        body = {"id": f"{self.brand}-door", "platform": "generic", "handle": self.brand}
        self._secret = (await self._made("POST", f"/brands/{self.brand}/accounts", body))["door_secret"].encode()
        post = {"id": "post-0", "kind": "post", "actor": {"id": "staff"}}
        while (await self.post(json.dumps(post).encode())).status_code != httpx.codes.ACCEPTED:  # noqa: ASYNC110
            await asyncio.sleep(0.1)

    async def _made(self, method: str, path: str, body: object) -> Any:
        answer = await self.api.request(method, path, json=body)
        answer.raise_for_status()
        return answer.json()

    async def post(self, body: bytes) -> httpx.Response:
        """Signed, through the door."""
        signature = "sha256=" + hmac.new(self._secret, body, hashlib.sha256).hexdigest()
        headers = {"X-Rapport-Account": f"{self.brand}-door", "X-Rapport-Signature-256": signature}
        return await self.door.post("/v1/interactions", content=body, headers=headers)

    async def deliver(self, made: dict[str, Any]) -> None:
        """Sends one interaction again and again until it is accepted, as a careful sender does."""
        body, end = json.dumps(made).encode(), time.monotonic() + AWAY_SECONDS
        while True:
            with contextlib.suppress(httpx.TransportError):
                answer = await self.post(body)
                if answer.status_code == httpx.codes.ACCEPTED:
                    return
                if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                    raise AssertionError(f"the door answered {answer.status_code}: {answer.text[:300]}")
            if time.monotonic() > end:
                raise AssertionError(f"the door took nothing for {AWAY_SECONDS:.0f} s")
            await asyncio.sleep(0.1)

    async def get(self, path: str, **query: Any) -> httpx.Response:
        """What the API answers, asked again while it is being started."""
        end = time.monotonic() + AWAY_SECONDS
        while True:
            with contextlib.suppress(httpx.TransportError):
                answer = await self.api.get(f"/brands/{self.brand}{path}", params=query)
                if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                    return answer
            if time.monotonic() > end:
                raise AssertionError(f"the API did not answer {path} for {AWAY_SECONDS:.0f} s")
            await asyncio.sleep(0.1)

    async def every(self, path: str, **query: Any) -> list[dict[str, Any]]:
        """All items of a list."""
        found: list[dict[str, Any]] = []
        cursor: str | None = None
        while True:
            more = {"cursor": cursor} if cursor else {}
            page = (await self.get(path, limit=100, **query, **more)).json()
            found += page["items"]
            cursor = page["next"]
            if cursor is None:
                return found

    async def close(self) -> None:
        """Ends the connections."""
        await self.api.aclose()
        await self.door.aclose()


async def hostile_run(
    installation: Installation,
    webhooks: WebhookReceiver,
    *,
    seconds: float,
    per_second: int,
    hostile: bool = True,
    kills: bool = True,
    say: Callable[[str], None],
) -> HostileRun:
    """Feeds both clients for so long, `per_second` interactions in all, and compares the calm one's with its ledger.

    With `hostile` off the other client's interactions are what any client's are: what to compare figures with.
    """

    def line() -> RunningInstallation:
        found = installation.status()
        assert found is not None
        return found

    run = HostileRun()
    calm, attacked = Client(line, CALM), Client(line, ATTACKED)
    channel = {"type": "webhook", "id": "crm", "url": webhooks.url("/calm"), "secret": webhooks.channel("", "").secret}
    with Jetstream() as jetstream:
        try:
            await calm.connect([channel])
            await attacked.connect([])
            if hostile:
                await _watch(attacked, jetstream)
            end = time.monotonic() + seconds
            answered: dict[str, bool] = {}
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_talk(run, calm, end, answered))
                tasks.create_task(_look(run, calm, line, end))
                tasks.create_task(_attack(run, attacked, end, per_second - CALM_PER_SECOND, hostile))
                if hostile:
                    tasks.create_task(_stream(jetstream, end))
                    tasks.create_task(_ask(run, attacked, end))
                if kills:
                    tasks.create_task(_kill(run, line, seconds, end, say))
            say(f"{run.calm} calm ones, hostile ones {dict(run.hostile)}, API {dict(run.asked)}; waiting for the rest")
            await _compare(run, calm, webhooks, answered)
        finally:
            await calm.close()
            await attacked.close()
    return run


async def _watch(attacked: Client, jetstream: Jetstream) -> None:
    body = {
        "id": f"{ATTACKED}-sky",
        "platform": "bluesky",
        "handle": "attacked.test",
        "connection": {"did": "did:plc:attacked", "jetstream": jetstream.address},
    }
    await attacked._made("POST", f"/brands/{ATTACKED}/accounts", body)
    await asyncio.to_thread(jetstream.connected.wait, AWAY_SECONDS)


async def _talk(run: HostileRun, calm: Client, end: float, answered: dict[str, bool]) -> None:
    """The calm client: comments at a steady rate, most of them answered soon."""
    pending: set[asyncio.Task[None]] = set()
    began, number = time.monotonic(), 0

    async def one(number: int) -> None:
        comment, who = f"comment-{number}", f"person-{number}"
        now = strangers.recently().isoformat()
        made = {"id": comment, "kind": "comment", "actor": {"id": who}, "post": f"post-{number % 7}", "text": "Is it?"}
        await calm.deliver({**made, "occurred_at": now})
        accepted = time.monotonic()
        run.calm += 1
        answered[comment] = number % UNANSWERED_EVERY != 0
        if answered[comment]:
            reply = {
                "id": f"reply-{number}",
                "kind": "reply",
                "actor": {"id": "staff"},
                "parent": {"id": comment, "actor": who},
                "post": made["post"],
                "text": "It is.",
                "occurred_at": (strangers.recently() + timedelta(milliseconds=1)).isoformat(),
            }
            await calm.deliver(reply)
            run.calm += 1
        if number % SAMPLED_EVERY == 0:
            while not (await calm.get("/exchanges", follower=follower_ref("generic", who))).json()["items"]:
                await asyncio.sleep(ASK_SECONDS)
                if time.monotonic() > accepted + PATIENCE_SECONDS:
                    run.wrong.append(f"{comment} of the calm client was not visible after {PATIENCE_SECONDS:.0f} s")
                    return
            run.visible.append(time.monotonic() - accepted)

    while time.monotonic() < end:
        # A comment and most of the time its answer: 1.8 interactions.
        await asyncio.sleep(max(0.0, began + number * 1.8 / CALM_PER_SECOND - time.monotonic()))
        task = asyncio.create_task(one(number))
        pending.add(task)
        task.add_done_callback(pending.discard)
        number += 1
    await asyncio.gather(*pending)


async def _look(run: HostileRun, calm: Client, line: Callable[[], RunningInstallation], end: float) -> None:
    """Somebody of the calm client looks at the views and the pages all the time."""
    things = cycle([*(("/v1", f"/{view}") for view in VIEWS), *(("", page) for page in PAGES)])
    async with httpx.AsyncClient(base_url=line().api, timeout=60, follow_redirects=True) as browser:
        await _log_in(browser, line().admin_key)
        while time.monotonic() < end:
            kind, path = next(things)
            try:
                answer = await (calm.get(path) if kind else browser.get(f"/brands/{CALM}{path}"))
            except httpx.TransportError:
                await asyncio.sleep(0.2)
                continue
            if "/login" in str(answer.url):
                await _log_in(browser, line().admin_key)
            elif answer.status_code not in (200, 503):
                run.wrong.append(f"{kind}{path} of the calm client answered {answer.status_code}: {answer.text[:200]}")
            await asyncio.sleep(0.1)


async def _log_in(browser: httpx.AsyncClient, key: str) -> None:
    with contextlib.suppress(httpx.TransportError):
        origin = str(browser.base_url).rstrip("/")
        await browser.post("/login", data={"key": key, "next": "/"}, headers={"Origin": origin})


async def _attack(run: HostileRun, attacked: Client, end: float, per_second: int, hostile: bool) -> None:
    items = strangers.interactions(1, strangers.recently()) if hostile else _friendly()
    bodies = cycle(strangers.BODIES)
    pending: set[asyncio.Task[None]] = set()
    began, number = time.monotonic(), 0

    async def one(body: bytes) -> None:
        with contextlib.suppress(httpx.TransportError):
            answer = await attacked.post(body)
            run.hostile[str(answer.status_code)] += 1
            if answer.status_code >= 500 and answer.status_code != 503:
                run.wrong.append(f"the door answered {answer.status_code} to {body[:200]!r}: {answer.text[:200]}")

    while time.monotonic() < end:
        await asyncio.sleep(max(0.0, began + number / per_second - time.monotonic()))
        number += 1
        body = next(bodies) if hostile and number % (2 * per_second) == 0 else _encoded(next(items))
        task = asyncio.create_task(one(body))
        pending.add(task)
        task.add_done_callback(pending.discard)
    await asyncio.gather(*pending)


def _encoded(made: dict[str, Any]) -> bytes:
    return json.dumps(made).encode()


def _friendly() -> Iterator[dict[str, Any]]:
    number = 0
    while True:
        number += 1
        yield {
            "id": f"f{number}",
            "kind": "comment",
            "actor": {"id": f"friend-{number % 5_000}"},
            "post": f"post-{number % 50}",
            "text": "Where can I buy one of these?",
            "occurred_at": strangers.recently().isoformat(),
        }


async def _stream(jetstream: Jetstream, end: float) -> None:
    frames = strangers.frames(1, "did:plc:attacked", strangers.recently())
    while time.monotonic() < end:
        at, frame = next(frames)
        await asyncio.to_thread(jetstream.send, at, frame)
        await asyncio.sleep(0.05)


async def _ask(run: HostileRun, attacked: Client, end: float) -> None:
    """Four of the attacked client's people ask the API for what once broke it."""
    asks = cycle(strangers.asks(ATTACKED))

    async def one() -> None:
        while time.monotonic() < end:
            ask = next(asks)
            more: dict[str, Any] = {"content": ask.raw} if ask.raw is not None else {"json": ask.body}
            headers = {"Content-Type": ask.content_type} if ask.raw is not None else {}
            try:
                answer = await attacked.api.request(
                    ask.method, ask.path, params=ask.query, headers=headers, **({} if ask.method == "GET" else more)
                )
            except httpx.TransportError:
                await asyncio.sleep(0.1)
                continue
            run.asked[str(answer.status_code)] += 1
            if answer.status_code >= 500 and answer.status_code != 503:
                run.wrong.append(f"{ask.method} {ask.path} {ask.query} answered {answer.status_code}")
            await asyncio.sleep(0.05)

    await asyncio.gather(*(one() for _ in range(4)))


async def _kill(
    run: HostileRun, line: Callable[[], RunningInstallation], seconds: float, end: float, say: Callable[[str], None]
) -> None:
    """Each process is killed once, at even distances, and is back before the next."""
    for number, name in enumerate(KILLED, 1):
        await asyncio.sleep(max(0.0, end - seconds + number * seconds / (len(KILLED) + 1) - time.monotonic()))
        pid = line().pids.get(name)
        if pid is None:
            run.wrong.append(f"{name} was not running when its turn to be killed came")
            continue
        say(f"killing {name}")
        os.kill(pid, signal.SIGKILL)
        run.killed[name] += 1


async def _compare(run: HostileRun, calm: Client, webhooks: WebhookReceiver, answered: dict[str, bool]) -> None:
    """The calm client's exchanges and alerts against what it sent."""
    missed = {comment for comment, was in answered.items() if not was}
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        found = {each["first"]["id"]: each for each in await calm.every("/exchanges")}
        alerts = [post.event for post in webhooks.posts["/calm"] if post.event["type"] == "alert.breach"]
        told = {event["data"]["first"]["id"] for event in alerts}
        over = [comment for comment in missed if not found.get(comment, {}).get("breached_at")]
        late = {comment for comment, was in answered.items() if was and found.get(comment, {}).get("breached_at")}
        # An answer that was given in time and arrives late takes the alert back.
        steps = [post.event for post in webhooks.posts["/calm"] if post.event["type"] == "alert.retracted"]
        needless = told - missed - late - {event["data"]["first"]["id"] for event in steps}
        if set(found) >= set(answered) and told >= missed and not over and not needless:
            break
        if time.monotonic() > end:
            run.wrong.append(
                f"after {PATIENCE_SECONDS:.0f} s: {len(set(answered) - set(found))} of {len(answered)} exchanges not "
                f"shown, {len(over)} not shown as overdue, {len(missed - told)} of {len(missed)} alerts not delivered"
            )
            break
        await asyncio.sleep(1.0)
    for comment, was in answered.items():
        state = found.get(comment, {}).get("state")
        if state not in (("answered", "answered_late") if was else ("open",)):
            run.wrong.append(f"the exchange of {comment} is {state}, and it was {'' if was else 'not '}answered")
    ids = Counter(event["data"]["first"]["id"] for event in {event["data"]["id"]: event for event in alerts}.values())
    run.wrong += [f"{comment} was alerted {many} times" for comment, many in ids.items() if many > 1]
    run.wrong += [f"an alert about {comment}, which was answered" for comment in needless]
