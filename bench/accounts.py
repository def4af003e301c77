"""What 500 accounts that are asked cost at rest, and how soon another process reads those of one that was killed."""

import asyncio
import signal
import time
from datetime import UTC, datetime
from pathlib import Path

from rapport.contracts.events import Account
from rapport.contracts.topics import CURSORS
from rapport.local.servers.stack import Running
from tests.platforms.mastodon import MastodonServer
from tests.services.ingest.service import Ingest, brand_with, publish
from tests.waiting import until

Figures = dict[str, float | int | str]

ACCOUNTS = 500
BUSY = 12
PATIENCE_SECONDS = 300.0


async def accounts(running: Running, folder: Path, seconds: int) -> Figures:
    """Mastodon, each account with a stream. At rest: nothing happens, for `seconds`."""
    return await asyncio.to_thread(_measured, running, folder, seconds)


def _measured(running: Running, folder: Path, seconds: int) -> Figures:
    with MastodonServer() as server:
        tokens = [f"token-{number}" for number in range(ACCOUNTS)]
        itself = [server.add_account(f"brand{number}", token=token) for number, token in enumerate(tokens)]
        posts = [server.post(one, "Fresh beans") for one in itself[:BUSY]]
        ada = server.add_account("ada")
        made = [
            Account(
                id=f"account-{number}", platform="mastodon", handle=f"@brand{number}@{server.host}",
                connected_at=datetime.now(UTC), door_secrets=("s",),
                connection={"service": server.address, "token": token},
            )
            for number, token in enumerate(tokens)
        ]  # fmt: skip
        for each in ("one", "two"):
            (folder / each).mkdir()
        one, two = Ingest(running.kafka, folder / "one"), Ingest(running.kafka, folder / "two")
        try:
            one.start().ready()
            began = time.monotonic()
            publish(running.kafka, *(brand_with(account) for account in made))
            until(
                lambda: _live(one) == ACCOUNTS and len(server.streams) == ACCOUNTS, "all to be read", PATIENCE_SECONDS
            )
            read = time.monotonic() - began
            before, since, asked = one.cpu_seconds(), time.monotonic(), len(server.requests)
            time.sleep(seconds)
            took = time.monotonic() - since
            found: Figures = {
                "accounts": ACCOUNTS,
                "all_live_after_seconds": round(read, 1),
                "at_rest_cpu_percent": round(100 * (one.cpu_seconds() - before) / took, 1),
                "at_rest_requests_per_second": round((len(server.requests) - asked) / took, 2),
                "memory_mib": _memory(one.pid),
            }
            two.start().ready()
            until(lambda: _leases(one) + _leases(two) == CURSORS.partitions > _leases(one), "two to share them")
            until(lambda: _live(one) + _live(two) == ACCOUNTS, "all to be read again", PATIENCE_SECONDS)
            one.stop(signal.SIGKILL)
            killed = time.monotonic()
            for post in posts:
                server.comment(ada, post, "Are you open?")
            until(lambda: _leases(two) == CURSORS.partitions, "the other to take over")
            found["taken_over_after_seconds"] = round(time.monotonic() - killed, 1)
            until(lambda: two.metric(_COMMENTS) >= BUSY, "what was written meanwhile", PATIENCE_SECONDS)
            found["comments_read_after_seconds"] = round(time.monotonic() - killed, 1)
            until(lambda: _live(two) == ACCOUNTS, "all to be live", PATIENCE_SECONDS)
            found["all_live_again_after_seconds"] = round(time.monotonic() - killed, 1)
            return found
        finally:
            one.close()
            two.close()


_COMMENTS = 'rapport_ingest_interactions_accepted_total{kind="comment",platform="mastodon"}'


def _live(ingest: Ingest) -> float:
    return ingest.metric('rapport_ingest_account_states{platform="mastodon",state="live"}')


def _leases(ingest: Ingest) -> float:
    return ingest.metric("rapport_ingest_leases")


def _memory(pid: int) -> int:
    """Of a process, in MiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmRSS:"))) // 1024
