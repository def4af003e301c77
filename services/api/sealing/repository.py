"""Where secrets are stored: accounts have those of their door, brands those of their webhooks."""

from collections.abc import Mapping
from typing import Any

from pymongo.asynchronous.collection import AsyncCollection

from rapport.contracts.sealed import changed_connection, door_place, webhook_place
from rapport.kit.sealing import Sealer
from services.api.accounts.documents import AccountDocument
from services.api.brands.documents import UnconfirmedBrandDocument
from services.api.storage.tenants import Database


class Secrets:
    """All secrets of the installation."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._accounts: AsyncCollection[AccountDocument] = database["accounts"]
        self._brands: AsyncCollection[UnconfirmedBrandDocument] = database["brands"]
        self._sealer = sealer

    async def brands(self) -> list[str]:
        """The ids of all brands."""
        return [each["_id"] async for each in self._brands.find({}, {"_id": 1}).sort("_id")]

    async def seal_again(self, brand: str) -> int | None:
        """Seals with today's key what a brand has that is not; says how many secrets that were.

        They are stored unconfirmed: publish the brand afterwards. None where somebody changed the brand or an account
        meanwhile: do it again. Raises SealedError where one cannot be opened; then the brand's others stay too.
        """
        accounts = await self._accounts.find({"brand": brand}).to_list()
        stored = await self._brands.find_one({"_id": brand})
        if stored is None:
            return 0
        many = 0
        for account in accounts:
            found, fields = self._changed_account(account)
            if not found:
                continue
            many += found
            revision = account.get("revision")
            its = {"_id": account["_id"], "revision": revision}
            result = await self._accounts.update_one(its, {"$set": {**fields, "revision": (revision or 0) + 1}})
            if not result.matched_count:
                return None
        found, fields = self._changed_brand(stored)
        many += found
        if many:
            its = {"_id": brand, "revision": stored["revision"]}
            result = await self._brands.update_one(its, {"$set": {**fields, "revision": stored["revision"] + 1}})
            if not result.matched_count:
                return None
        return many

    def _changed_account(self, account: AccountDocument) -> tuple[int, dict[str, Any]]:
        place = door_place(account["_id"])
        many, fields = 0, dict[str, Any]()
        for prefix, held in (("", account), ("pending.", account.get("pending") or {})):
            known: list[str] = held.get("door_secrets", [])
            sealed = [self._again(place, each) for each in known]
            if changed := sum(before != after for before, after in zip(known, sealed, strict=True)):
                many += changed
                fields[f"{prefix}door_secrets"] = sealed
            connection: dict[str, str] = held.get("connection", {})
            again = changed_connection(account["_id"], connection, self._again)
            if changed := sum(connection[name] != again[name] for name in connection):
                many += changed
                fields[f"{prefix}connection"] = again
        return many, fields

    def _changed_brand(self, brand: UnconfirmedBrandDocument) -> tuple[int, dict[str, Any]]:
        many, fields = 0, dict[str, Any]()
        parts: tuple[tuple[str, Mapping[str, Any] | None], ...] = (
            ("settings", brand["settings"]),
            ("pending", brand["pending"]),
        )
        for name, settings in parts:
            channels = list((settings or {}).get("channels", []))
            for at, each in enumerate(channels):
                # Channels of a later version may have any form.
                secret = each.get("secret") if isinstance(each, dict) and each.get("type") == "webhook" else None
                if not isinstance(secret, str):
                    continue
                after = self._again(webhook_place(brand["_id"], str(each.get("id"))), secret)
                if after != secret:
                    many += 1
                    channels[at] = {**each, "secret": after}
                    fields[f"{name}.channels"] = channels
        return many, fields

    def _again(self, place: str, secret: str) -> str:
        return secret if self._sealer.current(secret) else self._sealer.seal(place, self._sealer.open(place, secret))
