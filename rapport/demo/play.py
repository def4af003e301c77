"""Sends a recording to ingest, every account's part in its order, the accounts side by side.

What happened on an account of a platform that pushes comes as the platform pushes it, signed by it. What a platform is
asked for is there already. Everything else comes through the signed generic door.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence

import httpx

from rapport.demo.client import ndjson, signature
from rapport.demo.recording.cast import DemoAccount
from rapport.demo.recording.feed import Body
from rapport.demo.recording.generator import Recording
from rapport.demo.vendors import facebook, instagram, meta
from rapport.demo.vendors.platforms import Way, way
from rapport.kit import backoff

AT_ONCE = 500
"""Interactions in one request: some 250 kB."""
PATIENCE_SECONDS = 60.0
"""For how long the door may be away, or not know an account that was just connected."""
_PUSHING = {"facebook": facebook, "instagram": instagram}
AGAIN = frozenset({401, 429, 500, 502, 503, 504})


class RefusedError(Exception):
    """The door did not take a part of the recording. The text says why."""


def play(
    recording: Recording, ingest: str, secrets: dict[str, str], app_secret: str, on_sent: Callable[[int], object]
) -> None:
    """Sends all of it to `ingest`. `secrets` are those of the accounts' doors, `app_secret` is what platforms sign
    with. `on_sent` is told how many more were acknowledged.

    Raises RefusedError.
    """
    try:
        asyncio.run(_play(recording, ingest, secrets, app_secret, on_sent))
    except BaseExceptionGroup as group:
        refused, others = group.split(RefusedError)
        if refused is None or others is not None:
            raise
        # One account's refusal says all; the others were cancelled because of it.
        raise RefusedError(str(refused.exceptions[0])) from group


async def _play(
    recording: Recording, ingest: str, secrets: dict[str, str], app_secret: str, on_sent: Callable[[int], object]
) -> None:
    async with httpx.AsyncClient(base_url=ingest, timeout=60, trust_env=False) as http, asyncio.TaskGroup() as tasks:
        for account in (each for brand in recording.brands for each in brand.accounts):
            task = _account(http, account, secrets[account.id], app_secret, recording, on_sent)
            tasks.create_task(task)


async def _account(
    http: httpx.AsyncClient,
    account: DemoAccount,
    door_secret: str,
    app_secret: str,
    recording: Recording,
    on_sent: Callable[[int], object],
) -> None:
    ways: dict[Way, list[Body]] = {"door": [], "pushed": [], "served": []}
    for body in recording.deliveries[account.id]:
        ways[way(body, account, recording)].append(body)
    on_sent(len(ways["served"]))
    # First what the door takes: it refuses an account that ingest does not know yet, and a webhook would ignore it.
    for part in _parts(ways["door"]):
        content = ndjson(part)
        headers = {
            "Content-Type": "application/x-ndjson",
            "X-Rapport-Account": account.id,
            "X-Rapport-Signature-256": signature(content, door_secret),
        }
        await _send(http, "/v1/interactions", headers, content, account.id)
        on_sent(len(part))
    for part in _parts(ways["pushed"]):
        platform = _PUSHING[account.platform]
        content = platform.delivery(part, account)
        await _send(http, platform.PATH, meta.signed(content, app_secret), content, account.id)
        on_sent(len(part))


def _parts(bodies: Sequence[Body]) -> Iterator[Sequence[Body]]:
    for start in range(0, len(bodies), AT_ONCE):
        yield bodies[start : start + AT_ONCE]


async def _send(http: httpx.AsyncClient, path: str, headers: Mapping[str, str], content: bytes, account: str) -> None:
    give_up_at = asyncio.get_running_loop().time() + PATIENCE_SECONDS
    for delay in backoff.delays():
        try:
            answer = await http.post(path, content=content, headers=headers)
        except httpx.TransportError as error:
            why, again = f"{type(error).__name__}: {error}", True
        else:
            if answer.is_success:
                return
            why, again = f"{answer.status_code} {answer.text[:500]}", answer.status_code in AGAIN
        if not again or asyncio.get_running_loop().time() > give_up_at:
            raise RefusedError(f"{path} refused interactions of {account}: {why}")
        # The same ids count once, so sending again is always right.
        await asyncio.sleep(delay)
