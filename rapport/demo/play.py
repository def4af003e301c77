"""Sends a recording through the signed generic door, every account's part in its order, the accounts side by side."""

import asyncio
from collections.abc import Callable, Sequence

import httpx

from rapport.demo.client import ndjson, signature
from rapport.demo.recording.feed import Body
from rapport.demo.recording.generator import Recording
from rapport.kit import backoff

AT_ONCE = 500
"""Interactions in one request: some 250 kB."""
PATIENCE_SECONDS = 60.0
"""For how long the door may be away, or not know an account that was just connected."""
AGAIN = frozenset({401, 429, 500, 502, 503, 504})


class RefusedError(Exception):
    """The door did not take a part of the recording. The text says why."""


def play(recording: Recording, door: str, secrets: dict[str, str], on_sent: Callable[[int], object]) -> None:
    """Sends all of it to `door` (the address of ingest). `on_sent` is told how many more were acknowledged.

    Raises RefusedError.
    """
    try:
        asyncio.run(_play(recording, door, secrets, on_sent))
    except BaseExceptionGroup as group:
        refused, others = group.split(RefusedError)
        if refused is None or others is not None:
            raise
        # One account's refusal says all; the others were cancelled because of it.
        raise RefusedError(str(refused.exceptions[0])) from group


async def _play(recording: Recording, door: str, secrets: dict[str, str], on_sent: Callable[[int], object]) -> None:
    async with httpx.AsyncClient(base_url=door, timeout=60, trust_env=False) as http, asyncio.TaskGroup() as tasks:
        for account, bodies in recording.deliveries.items():
            tasks.create_task(_account(http, account, secrets[account], bodies, on_sent))


async def _account(
    http: httpx.AsyncClient, account: str, secret: str, bodies: Sequence[Body], on_sent: Callable[[int], object]
) -> None:
    for start in range(0, len(bodies), AT_ONCE):
        part = bodies[start : start + AT_ONCE]
        await _send(http, account, secret, ndjson(part))
        on_sent(len(part))


async def _send(http: httpx.AsyncClient, account: str, secret: str, body: bytes) -> None:
    headers = {
        "Content-Type": "application/x-ndjson",
        "X-Rapport-Account": account,
        "X-Rapport-Signature-256": signature(body, secret),
    }
    give_up_at = asyncio.get_running_loop().time() + PATIENCE_SECONDS
    for delay in backoff.delays():
        try:
            answer = await http.post("/v1/interactions", content=body, headers=headers)
        except httpx.TransportError as error:
            why, again = f"{type(error).__name__}: {error}", True
        else:
            if answer.status_code == 202:
                return
            why, again = f"{answer.status_code} {answer.text[:500]}", answer.status_code in AGAIN
        if not again or asyncio.get_running_loop().time() > give_up_at:
            raise RefusedError(f"the door refused interactions of {account}: {why}")
        # The same ids count once, so sending again is always right.
        await asyncio.sleep(delay)
