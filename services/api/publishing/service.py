"""Publishes settings from MongoDB to the log, in an order that keeps both alike whatever fails in between.

A change is first stored as unconfirmed, so no reader sees it. Then the control records go to every partition of
`conversations`, and the brand's whole record to `brands`. The change is confirmed once the broker has all of them. If
the process or the broker dies in between, `run` writes the unconfirmed change again; all these records may be repeated.
A brand's record is made from what is stored at that moment, and made again if a newer change comes in between. Two
processes can still leave the older record last, for a day at most. So each record has a revision, and readers skip a
lower one.

During an upgrade the API of a later version may store what this one does not know. Fields of brands, accounts and
channels are passed on as they are stored. A policy that this version cannot pass on whole is left to the other.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from bson import Int64
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import PyMongoError

from rapport.contracts import codec
from rapport.contracts.codec import NewerError
from rapport.contracts.controls import (
    AccountConnected,
    AccountDisconnected,
    Decided,
    FollowerErased,
    PolicyVersion,
    ScoringSet,
)
from rapport.contracts.errands import Errand
from rapport.contracts.events import Account, Brand
from rapport.contracts.topics import BRANDS, CONVERSATIONS, ERRANDS, key_of, partition_of
from rapport.domain.erasing import erased_name
from rapport.domain.times import ms
from rapport.kit.broker.producer import NotAcknowledgedError, Record
from rapport.kit.mongo import Document
from services.api.accounts.documents import NewestAccount
from services.api.accounts.repository import newest
from services.api.brands.documents import UnconfirmedBrandDocument
from services.api.http.problems import unavailable
from services.api.policies.documents import PolicyDocument
from services.api.policies.repository import stored
from services.api.publishing.broker import Broker
from services.api.publishing.repository import Outgoing, is_unsaid
from services.api.scoring.repository import Scorings

SOURCE = "/rapport/api"
CONTROL = "rapport.control.v1"
LOOK_EVERY_SECONDS = 15.0
REPEAT_AFTER = timedelta(days=1)
"""Control records are repeated daily, so that retention never drops one that is in force."""

LARGEST_BRAND = 900_000
"""Bytes of a brand's record with its accounts. Kafka takes a megabyte; the rest is for its channels, which are few, and
for new secrets of accounts."""

_NEVER = datetime(1970, 1, 1, tzinfo=UTC)

log = logging.getLogger("rapport.api")


class Publisher:
    """Writes brands' settings to the log and confirms them."""

    def __init__(self, database: AsyncDatabase[Document], broker: Broker) -> None:
        self._outgoing = Outgoing(database)
        self._scorings = Scorings(database)
        self._broker = broker
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._failing: dict[str, None] = {}
        """Brands that could not be published the last time, those first that were tried longest ago."""

    async def publish(self, brand: str, *, repeat: bool = False) -> None:
        """Returns once everything stored of a brand is in the log. With `repeat`, also what was confirmed before.

        Raises NotAcknowledgedError if the broker does not confirm; `run` tries again.
        """
        async with self._locks[brand]:
            await self._outgoing.settle(brand)
            while not await self._publish_once(brand, repeat):
                pass

    async def has_room(self, brand: str, more: int) -> bool:
        """Whether the brand's record can grow by so many bytes."""
        stored = await self._outgoing.brand(brand)
        if stored is None or (stored["pending"] or stored["settings"]) is None:
            return True
        accounts = await self._outgoing.accounts(brand)
        record = _brand_record(stored, [newest(each) for each in accounts], datetime.now(UTC))
        return len(record.value or b"") + more <= LARGEST_BRAND

    async def decide(self, decided: Decided, conversation: str) -> None:
        """Returns once the partition of its conversation has the decision. Raises NotAcknowledgedError."""
        key = key_of(decided.brand, decided.platform, conversation)
        record = Record(
            topic=CONVERSATIONS.name,
            partition=partition_of(key, CONVERSATIONS.partitions),
            key=key,
            value=codec.encode(decided),
            headers=codec.headers(CONTROL, id=decided.id, source=SOURCE, time=decided.at.isoformat()),
        )
        await self._broker.append([record])

    async def ask(self, errand: Errand) -> None:
        """Returns once the log has an errand. Raises NotAcknowledgedError; it can be repeated."""
        key = key_of(errand.brand)
        record = Record(
            topic=ERRANDS.name,
            partition=partition_of(key, ERRANDS.partitions),
            key=key,
            value=codec.encode(errand),
            headers=codec.headers("rapport.errand.v1", id=errand.id, source=SOURCE, time=errand.at.isoformat()),
        )
        await self._broker.append([record])

    async def erase(self, erased: FollowerErased) -> None:
        """Returns once every partition has the erasure. Raises NotAcknowledgedError; it can be repeated."""
        name = erased_name(erased.brand, erased.platform, erased.follower)
        await self._broker.append(_everywhere(erased.brand, f"erased-{name}", erased, erased.at))

    async def publish_scorings(self, repeat_before: datetime = _NEVER) -> None:
        """Returns once the log has every version of the agency's numbers, the latest written after `repeat_before`.

        Raises NotAcknowledgedError if the broker does not confirm; `run` tries again.
        """
        for scoring in await self._scorings.unsaid(repeat_before):
            now = datetime.now(UTC)
            await self._broker.append(_everywhere("-", f"scoring-{scoring.version}", ScoringSet(scoring=scoring), now))
            await self._scorings.said(scoring, now)

    async def publish_due(self, repeat_before: datetime) -> None:
        """Publishes the brands that have something unconfirmed or were last written before `repeat_before`.

        A brand that cannot be passed on does not delay the others for long: those that could not be the last time come
        last. Raises NotAcknowledgedError where the log takes none of two in a row.
        """
        due = await self._outgoing.due(repeat_before)
        last = [brand for brand in self._failing if brand in due]
        refused = False
        for brand in [*(brand for brand in due if brand not in self._failing), *last]:
            before, refused = refused, False
            self._failing.pop(brand, None)
            try:
                await self.publish(brand, repeat=True)
            except NewerError as error:
                log.warning("brand %s is left to a later version of the API: %s", brand, error)
            except NotAcknowledgedError as error:
                self._failing[brand] = None
                if before:
                    raise
                refused = True
                log.warning("the settings of brand %s are waiting for the log: %.300s", brand, error)
            except PyMongoError:
                raise
            except Exception:  # a mistake about one brand must not keep all others from being published
                self._failing[brand] = None
                log.exception("the settings of brand %s cannot be published", brand)

    async def run(self) -> None:
        """Publishes what is unconfirmed or has not been repeated for a day, every few seconds. Does not end."""
        while True:
            try:
                await self.publish_scorings(datetime.now(UTC) - REPEAT_AFTER)
                await self.publish_due(datetime.now(UTC) - REPEAT_AFTER)
            except (NotAcknowledgedError, PyMongoError) as error:
                log.warning("settings are waiting for the log: %s: %.300s", type(error).__name__, error)
            except Exception:  # it is tried again, and requests publish what they change meanwhile
                log.exception("settings cannot be published")
            await asyncio.sleep(LOOK_EVERY_SECONDS)

    async def _publish_once(self, brand: str, repeat: bool) -> bool:
        stored = await self._outgoing.brand(brand)
        if stored is None:
            return True
        accounts = await self._outgoing.accounts(brand)
        said = list(_readable(await self._outgoing.policies(brand)))
        controls = [
            *(one for each in accounts if repeat or is_unsaid(each) for one in _connections(newest(each))),
            *((f"policy-{each['version']}", event) for each, event in said if repeat or is_unsaid(each)),
        ]
        now = datetime.now(UTC)
        # The scorer has to know a new account before ingest reads from it.
        await self._broker.append(
            [record for name, event in controls for record in _everywhere(brand, name, event, now)]
        )
        await self._broker.append([_brand_record(stored, [newest(each) for each in accounts], now)])
        await self._outgoing.confirm_accounts(accounts)
        await self._outgoing.confirm_policies([each["_id"] for each, _ in said])
        return await self._outgoing.confirm_brand(brand, stored["revision"], now)


def _readable(policies: list[PolicyDocument]) -> Iterator[tuple[PolicyDocument, PolicyVersion]]:
    for each in policies:
        try:
            yield each, stored(each)
        except NewerError as error:
            log.warning(
                "version %s of the policy of %s is left to a later version of the API: %s",
                each["version"], each["brand"], error,
            )  # fmt: skip


def _connections(account: NewestAccount) -> list[tuple[str, AccountConnected | AccountDisconnected]]:
    """Every connection and disconnection of an account, in order, each with its own name."""
    whose = {"brand": account["brand"], "account": account["_id"], "platform": account["platform"]}
    said: dict[tuple[datetime, str], AccountConnected | AccountDisconnected] = {}
    for at in account.get("connections", [account["connected_at"]]):
        said[at, "connected"] = AccountConnected(**whose, connected_at=at)
    for at in account.get("disconnections", []):
        said[at, "disconnected"] = AccountDisconnected(**whose, disconnected_at=at)
    return [(f"{what}-{account['_id']}-{ms(at)}", said[at, what]) for at, what in sorted(said)]


def _everywhere(brand: str, name: str, event: Any, now: datetime) -> list[Record]:
    key = key_of(brand, "control", name)
    headers = codec.headers(CONTROL, id=f"{brand}/{name}", source=SOURCE, time=now.isoformat())
    value = codec.encode(event)
    return [Record(CONVERSATIONS.name, partition, key, value, headers) for partition in range(CONVERSATIONS.partitions)]


def _whole(fields: Document) -> bytes:
    """A record's value, including what a later version stored. Raises NewerError if that cannot be passed on."""
    return msgspec.json.encode(fields, enc_hook=_plain)


def _plain(value: object) -> object:
    """A value as it comes from MongoDB, for JSON."""
    if isinstance(value, Int64):
        return int(value)
    raise NewerError(f"a {type(value).__name__} is stored, which only a later version can pass on")


def _brand_record(stored: UnconfirmedBrandDocument, accounts: list[NewestAccount], now: datetime) -> Record:
    settings = stored["pending"] or stored["settings"]
    assert settings is not None, "settings are pending until they are confirmed"
    event = Brand(
        id=stored["_id"],
        name=settings["name"],
        timezone=settings["timezone"],
        accounts=tuple(
            Account(
                id=each["_id"],
                platform=each["platform"],
                handle=each["handle"],
                connected_at=each["connected_at"],
                door_secrets=tuple(each["door_secrets"]),
                old_secrets_until=each.get("old_secrets_until"),
                connection=each["connection"],
                staff=tuple(each["staff"]),
            )
            for each in accounts
            if each["disconnected_at"] is None
        ),
        revision=stored["revision"],
        channels_since={each["id"]: each["since"] for each in settings.get("channels_since", [])},
    )
    # Settings are stored as in the record, so fields of a later version are passed on.
    fields = {**settings, **msgspec.to_builtins(event), "channels": settings["channels"]}
    further = {each["_id"]: each.get("further") or {} for each in accounts}
    fields["accounts"] = [{**further[each["id"]], **each} for each in fields["accounts"]]
    key = key_of(event.id)
    return Record(
        topic=BRANDS.name,
        partition=partition_of(key, BRANDS.partitions),
        key=key,
        value=_whole(fields),
        headers=codec.headers(
            "rapport.brand.v1", id=f"{event.id}/{stored['revision']}", source=SOURCE, time=now.isoformat()
        ),
    )


async def confirmed(publisher: Publisher, brand: str) -> None:
    """Returns once the log has the brand's settings. Raises ProblemError (503) if Kafka does not accept them."""
    try:
        await publisher.publish(brand)
    except NotAcknowledgedError as error:
        raise unavailable(
            "Kafka does not accept the change right now. It is saved and takes effect when Kafka is back; you may send "
            "the same request again"
        ) from error
