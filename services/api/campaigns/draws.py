"""The draw of a giveaway. It happens once, in one transaction, from the entries of that moment."""

from datetime import datetime
from typing import cast

from pymongo.asynchronous.client_session import AsyncClientSession

from rapport.domain.campaigns import draw as lots
from rapport.domain.figures import counted
from rapport.kit import mongo
from services.api.campaigns import changes
from services.api.campaigns.documents import DrawDocument, GiveawayDocument, ReplacedWinner
from services.api.campaigns.repository import Campaigns
from services.api.campaigns.schemas import DrawInput
from services.api.http.pools import DRAWS
from services.api.http.problems import ProblemError, invalid, not_found
from services.api.storage.tenants import Database, Tenants


async def draw(
    database: Database, tenants: Tenants, brand: str, id: str, said: DrawInput, by: str, now: datetime
) -> DrawDocument:
    """Draws. Raises ProblemError: 404, 409 before the end and a second time, 422 for more winners than entries."""
    campaigns = Campaigns(database, tenants)
    source = (await giveaway(database, tenants, brand, id))["giveaway"]["beacon_source"]
    if source is not None and said.beacon is None:
        raise invalid("beacon", f"this draw needs the public value that was announced: {source}")

    async def make(session: AsyncClientSession) -> DrawDocument:
        campaign = await campaigns.secrets(brand, id, session)
        assert campaign is not None, "campaigns are not deleted"
        _may_be_drawn(campaign, now)
        hashes = await campaigns.hashes(brand, id, session)
        rules = campaign["giveaway"]
        if len(hashes) < rules["winners"]:
            entries = counted(len(hashes), "valid entry", "valid entries")
            raise invalid("winners", f"{counted(rules['winners'], 'winner')} cannot be drawn from {entries}")
        count = min(len(hashes), rules["winners"] + rules["alternates"])
        seed, beacon = bytes.fromhex(campaign["seed"]), said.beacon or ""
        # A million entries take a second. Other requests must not wait for it.
        digest = await DRAWS.run(brand, lots.digest_of, hashes)
        drawn = await DRAWS.run(brand, lots.drawn, seed, beacon, digest, hashes, count)
        document: DrawDocument = {
            "_id": campaign["_id"],
            "brand": brand,
            "campaign": id,
            "at": now,
            "by": by,
            "seed": campaign["seed"],
            "commitment": campaign["commitment"],
            "beacon": beacon,
            "digest": digest,
            "entries": len(hashes),
            "winners": drawn[: rules["winners"]],
            "alternates": drawn[rules["winners"] :],
            "replaced": [],
            "show_winners": said.show_winners,
        }
        await campaigns.store_draw(document, hashes, session)
        return document

    return await mongo.in_async_transaction(database, make)


def _may_be_drawn(campaign: GiveawayDocument, now: datetime) -> None:
    if campaign["drawn_at"] is not None:
        raise ProblemError(409, "conflict", "this giveaway has been drawn; a second draw would prove nothing")
    if campaign["until"] > now:
        raise ProblemError(409, "conflict", f"this giveaway goes on until {campaign['until'].isoformat()}")
    counted_at = campaign["counted_at"] if campaign["counted_revision"] == campaign["revision"] else None
    if counted_at is None or counted_at < campaign["until"]:
        raise ProblemError(409, "conflict", "the last entries are still being counted; try again in a minute")


async def replace(
    database: Database, tenants: Tenants, brand: str, id: str, winner: str, why: str, by: str, now: datetime
) -> DrawDocument:
    """Gives a winner's place to the next alternate. Raises ProblemError (404, 409, 422)."""
    found = await drawn(database, tenants, brand, id)
    if winner not in standing(found):
        raise invalid("winner", "this entry has not won, or was already replaced")
    left = alternates_left(found)
    if not left:
        raise ProblemError(409, "conflict", "there is no alternate left")
    replaced: ReplacedWinner = {"winner": winner, "alternate": left[0], "at": now, "by": by, "why": why}
    if not await Campaigns(database, tenants).replace(found, replaced):
        raise ProblemError(409, "conflict", "somebody else replaced a winner at the same time; read it again")
    return await drawn(database, tenants, brand, id)


async def show_winners(database: Database, tenants: Tenants, draw: DrawDocument, shown: bool) -> None:
    """Sets whether the public proof names the winners."""
    await Campaigns(database, tenants).show_winners(draw, shown)


async def drawn(database: Database, tenants: Tenants, brand: str, id: str) -> DrawDocument:
    """The draw of a giveaway. Raises ProblemError (404, 409)."""
    await giveaway(database, tenants, brand, id)
    found = await Campaigns(database, tenants).draw(brand, id)
    if found is None:
        raise ProblemError(409, "conflict", "this giveaway is not drawn yet")
    return found


async def giveaway(database: Database, tenants: Tenants, brand: str, id: str) -> GiveawayDocument:
    """A campaign that is a giveaway. Raises ProblemError (404)."""
    campaign = await changes.existing(database, tenants, brand, id)
    if campaign["kind"] != "giveaway":
        raise not_found("giveaway")
    return cast("GiveawayDocument", campaign)


def standing(draw: DrawDocument) -> list[str]:
    """The hashes of those who are winners now."""
    out = {each["winner"] for each in draw["replaced"]}
    came = [each["alternate"] for each in draw["replaced"]]
    return [each for each in [*draw["winners"], *came] if each not in out]


def alternates_left(draw: DrawDocument) -> list[str]:
    """The alternates that have not taken a place, in their order."""
    return list(draw["alternates"][len(draw["replaced"]) :])
