"""Compares what the API says with the generator's ledger."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rapport.demo.client import Api
from rapport.demo.inbox import Inbox
from rapport.demo.recording.ledger import Expected

CHANNELS = ("mail", "webhook")


@dataclass(frozen=True)
class Told:
    """A breach alert that went out on every channel."""

    due_at: datetime
    created_at: datetime
    delivered_at: datetime


def differences(api: Api, brand: str, expected: Expected, ended_at: datetime, now: datetime) -> Iterator[str]:
    """The differences from the ledger, in words.

    Breaches that were due by `ended_at` have to be there; those due since then may be, up to `now`.
    """
    followers = list(api.every(f"/brands/{brand}/followers", sort="last_seen"))
    overview = api.ask("GET", f"/brands/{brand}/overview")
    yield from _compared(f"{brand}: followers in the overview", len(expected.followers), overview["followers"])
    listed = {(one["platform"], one["platform_id"]) for one in followers}
    yield from _compared(f"{brand}: followers in the list", len(expected.followers), len(followers))
    if strange := listed ^ expected.followers:
        yield f"{brand}: {len(strange)} followers are only on one side, such as {min(strange)}"
    counts: Counter[str] = Counter()
    for one in followers:
        counts.update(one["counts"])
    for kind in sorted(expected.counts.keys() | counts.keys()):
        yield from _compared(f"{brand}: {kind} interactions", expected.counts[kind], counts[kind])
    yield from _exchanges(api, brand, expected)
    yield from _breaches(api, brand, expected, ended_at, now)


def _exchanges(api: Api, brand: str, expected: Expected) -> Iterator[str]:
    shown = Counter(
        (one["state"], one["backfilled"], one["first"]["id"]) for one in api.every(f"/brands/{brand}/exchanges")
    )
    booked = Counter((one.state, one.backfilled, one.first) for one in expected.exchanges)
    for state in ("open", "answered", "answered_late", "cancelled"):
        for backfilled in (False, True):
            what = f"{brand}: {state} exchanges{' from before the connection' if backfilled else ''}"
            yield from _compared(what, _count(booked, state, backfilled), _count(shown, state, backfilled))
    if strange := (shown - booked) + (booked - shown):
        yield f"{brand}: {strange.total()} exchanges are only on one side, such as {min(strange)}"


def _count(exchanges: Counter[tuple[str, bool, str]], state: str, backfilled: bool) -> int:
    return sum(times for (one, before, _), times in exchanges.items() if (one, before) == (state, backfilled))


def _breaches(api: Api, brand: str, expected: Expected, ended_at: datetime, now: datetime) -> Iterator[str]:
    told = Counter(_time(one["due_at"]) for one in api.every(f"/brands/{brand}/alerts", step="breach"))
    must = Counter(one.due_at for one in expected.breaches(ended_at))
    may = Counter(one.due_at for one in expected.breaches(now))
    if missing := must - told:
        yield f"{brand}: {missing.total()} breaches were not sent, such as the one due at {min(missing)}"
    if too_many := told - may:
        yield f"{brand}: {too_many.total()} breaches should not have been sent, such as the one due at {min(too_many)}"


def told(api: Api, brand: str, inbox: Inbox) -> list[Told]:
    """The brand's breach alerts that the API shows as delivered on every channel, and that are in the inbox."""
    webhooks = {one.id for one in inbox.received() if one.way == "webhook"}
    mails = [one.link for one in inbox.received() if one.way == "mail" and one.subject.startswith("Overdue")]
    found: list[Told] = []
    for alert in api.every(f"/brands/{brand}/alerts", step="breach"):
        delivered = {one["channel_type"]: one for one in alert["deliveries"] if one["status"] == "delivered"}
        in_inbox = f"{alert['id']}/hook" in webhooks and any(
            link and link.endswith(f"/exchanges/{alert['exchange']}") for link in mails
        )
        if in_inbox and all(channel in delivered for channel in CHANNELS):
            last = max(_time(delivered[channel]["delivered_at"]) for channel in CHANNELS)
            found.append(Told(_time(alert["due_at"]), _time(alert["created_at"]), last))
    return found


def waiting(api: Api) -> list[dict[str, Any]]:
    """Some open exchanges of all brands, by due time."""
    found: list[dict[str, Any]] = api.ask("GET", "/exchanges", state="open", breached=False, limit=50)["items"]
    return found


def next_due(api: Api, now: datetime) -> dict[str, Any] | None:
    """The open exchange that is due next, across all brands."""
    return next((one for one in waiting(api) if not one["backfilled"] and _time(one["due_at"]) > now), None)


def _compared(what: str, expected: int, shown: int) -> Iterator[str]:
    if expected != shown:
        yield f"{what}: {shown} instead of {expected}"


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
