"""Deliveries of platforms, in the shapes that their vendors document, and the interactions that each becomes.

`<platform>/<name>.json` has where the shape is documented (`source`), what happened (`says`), the accounts that are
connected, and the `body` (or, for what is not JSON as a whole, `text`). `<name>.expected.json` has the interactions.

What is asked for and not pushed says which reader it is for (`as`), and what is known already (`known`); of Meta's also
what else the reader has to know (`of`). In a frame of
a stream the `payload` stands as JSON; it travels in a string. What is expected is the whole page.

Of Bluesky a body is a list of frames, and `as` is the stream that they come from: one delivery is a story, because what
is taken back is known from what came before. What is expected has what became of people's accounts too (`away`).
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from pydantic import SecretStr

from rapport.contracts.events import Account
from services.ingest.connectors.bluesky.facts import Facts
from services.ingest.connectors.bluesky.frames import FrameError, StreamError, from_jetstream, from_jetstream_v2
from services.ingest.connectors.bluesky.normalise import Watched as WatchedOnBluesky
from services.ingest.connectors.facebook import normalise as facebook
from services.ingest.connectors.instagram import normalise as instagram
from services.ingest.connectors.mastodon import normalise as mastodon
from services.ingest.connectors.platforms import PlatformSettings, hooks
from services.ingest.connectors.seen import Seen, UnsavedLedger
from services.ingest.connectors.threads import normalise as threads
from services.ingest.hooks.delivery import Delivery, Lookup, Watched, bare_handle, decode
from services.ingest.hooks.hook import Hook
from services.ingest.hooks.meta_pages import Page

FOLDER = Path(__file__).parent
OBSERVED_AT = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
SECRET, OLD_SECRET = "a-new-secret-of-the-app", "an-old-secret-of-the-app"
TOKEN = "a-verify-token"
SETTINGS = PlatformSettings(
    port=0,
    facebook_secrets=SecretStr(f"{SECRET},{OLD_SECRET}"),
    facebook_verify_token=SecretStr(TOKEN),
    instagram_secrets=SecretStr(f"{SECRET},{OLD_SECRET}"),
    instagram_verify_token=SecretStr(TOKEN),
    threads_secrets=SecretStr(f"{SECRET},{OLD_SECRET}"),
    threads_verify_token=SecretStr(TOKEN),
    linkedin_secrets=SecretStr(f"{SECRET},{OLD_SECRET}"),
    x_secrets=SecretStr(f"{SECRET},{OLD_SECRET}"),
    tiktok_secrets=SecretStr(f"{SECRET},{OLD_SECRET}"),
)
HOOKS: Mapping[str, Hook] = hooks(SETTINGS)


ASKED = {"notifications": mastodon.notifications, "statuses": mastodon.statuses, "event": mastodon.event}
"""Readers of what Mastodon is asked for."""
META: Mapping[tuple[str, str], Callable[..., Page]] = {
    ("facebook", "posts"): facebook.posts,
    ("facebook", "tagged"): facebook.tagged,
    ("facebook", "comments"): facebook.comments,
    ("facebook", "messages"): facebook.messages,
    ("instagram", "media"): instagram.media,
    ("instagram", "posts"): instagram.posts,
    ("instagram", "comments"): instagram.comments,
    ("instagram", "replies"): instagram.replies,
    ("instagram", "messages"): instagram.messages,
    ("threads", "posts"): threads.posts,
    ("threads", "replies"): threads.replies,
    ("threads", "mentions"): threads.mentions,
    ("threads", "answers"): threads.answers,
}
"""Readers of what Meta's interfaces are asked for."""
HOST = "mastodon.example"
STREAMS = {"jetstream": from_jetstream, "jetstream_v2": from_jetstream_v2}
"""Readers of Bluesky's streams."""


@dataclass(frozen=True)
class Recorded:
    """A delivery and what is expected of it. `read` reads a body as it reads this one."""

    platform: str
    name: str
    body: bytes
    lookup: Lookup
    read: Callable[[bytes], Delivery]
    expected: Any


def recorded() -> Iterator[Recorded]:
    """All of them."""
    for file in sorted(FOLDER.glob("*/*.json")):
        if not file.name.endswith(".expected.json"):
            yield recording(file)


def recording(file: Path) -> Recorded:
    """One of them."""
    platform, found = file.resolve().parent.name, json.loads(file.read_text())
    assert found["source"].startswith("https://"), f"{file}: where is its shape documented?"
    if found.get("as") == "event" and not isinstance(found["body"].get("payload", ""), str):
        found["body"]["payload"] = json.dumps(found["body"]["payload"])
    body = found["text"].encode() if "text" in found else json.dumps(found["body"]).encode()
    its, expected = lookup(platform, found["accounts"]), file.with_suffix(".expected.json")
    known = {each["status"]: mastodon.Noted(**each) for each in found.get("known", ())}

    def read(body: bytes) -> Delivery:
        if "as" not in found:
            return HOOKS[platform].read(body, its, OBSERVED_AT)
        if found["as"] in STREAMS:
            return _streamed(found["as"], body, [each for account in found["accounts"] for each in its(account["id"])])
        (watched,) = its(found["accounts"][0]["id"])
        if (platform, found["as"]) in META:
            return META[platform, found["as"]](body, *found.get("of", ()), watched, OBSERVED_AT)
        return ASKED[found["as"]](body, found.get("host", HOST), watched, known.get, OBSERVED_AT)

    return Recorded(
        platform, file.stem, body, its, read, json.loads(expected.read_text()) if expected.exists() else None
    )


def said(delivery: Delivery) -> Any:
    """What a delivery became, as `<name>.expected.json` has it."""
    interactions = json.loads(msgspec.json.encode(delivery.interactions))
    if delivery.away:
        return {"interactions": interactions, "away": json.loads(msgspec.json.encode(delivery.away))}
    if isinstance(delivery, Page):
        return {
            "interactions": interactions,
            "posts": json.loads(msgspec.json.encode(delivery.posts)),
            "more": dict(delivery.more),
            "many": delivery.many,
            "oldest": delivery.oldest.isoformat() if delivery.oldest else None,
            "partly": delivery.partly,
            "ignored": dict(delivery.ignored),
            "problems": [f"{problem.where}: {problem.why}" for problem in delivery.problems],
        }
    if not isinstance(delivery, mastodon.Page):
        return interactions
    return {
        "interactions": interactions,
        "noted": [each._asdict() for each in delivery.noted],
        "gone": delivery.gone,
        "newest": next(iter(delivery.ids), None),
        "ignored": dict(delivery.ignored),
        "problems": [f"{problem.where}: {problem.why}" for problem in delivery.problems],
    }


class EmptyLedger:
    """A ledger in which nothing was noted."""

    def find(self, _: str) -> list[Seen]:
        """See Known."""
        return []

    def known_to(self, _: str) -> set[str]:
        """See Known."""
        return set()


def _streamed(stream: str, body: bytes, watched: list[Watched]) -> Delivery:
    """What frames of Bluesky's, one after the other, become for these accounts."""
    facts = Facts([WatchedOnBluesky(each.brand, each.account, each.id, each.own) for each in watched])
    delivery = Delivery()
    unsaved = UnsavedLedger(EmptyLedger())
    for number, raw in enumerate(decode(body, list[msgspec.Raw])):
        try:
            frame = STREAMS[stream](bytes(raw))
        except (FrameError, StreamError) as error:
            delivery.failed(f"frame {number}", error)
            continue
        if frame.synced is not None and frame.at is not None:
            facts.synced(frame.synced, frame.at)
        for change in frame.changes:
            try:
                delivery.interactions += facts.of(change, unsaved, OBSERVED_AT)
            except Exception as error:  # as the stream does
                delivery.failed(change.uri, error)
        if frame.fate is not None:
            delivery.away += facts.told(frame.fate, unsaved)
    return delivery


def lookup(platform: str, accounts: list[dict[str, Any]]) -> Lookup:
    """These accounts: each with `id` (the platform's), and where it matters `brand`, `account`, `staff`, `own`, and
    `handles`.
    """
    watched = [
        Watched(
            brand=each.get("brand", "roastery"),
            account=Account(
                id=each.get("account", f"{platform}-roastery"),
                platform=platform,
                handle=each.get("handle", "Roastery"),
                connected_at=datetime(2026, 1, 1, tzinfo=UTC),
                door_secrets=(),
                connection=_connection(platform, each),
                staff=tuple(each.get("staff", ())),
            ),
            id=each["id"],
            own=frozenset([each["id"], *each.get("own", ())]),
            handles=frozenset([bare_handle(each.get("handle", "Roastery")), *each.get("handles", ())]),
        )
        for each in accounts
    ]
    return lambda its_id: [each for each in watched if each.id == its_id]


def _connection(platform: str, account: dict[str, Any]) -> dict[str, str]:
    named = {HOOKS[platform].id_field: account["id"]} if platform in HOOKS else {}
    return {**named, **account.get("connection", {})}
