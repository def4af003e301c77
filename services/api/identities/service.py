"""Links followers who are one person: by hand, from a suggestion or from a file."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

from rapport.domain import identity
from rapport.domain.identity import Link, SelfError, TooManyError
from rapport.domain.platforms import platform_name
from rapport.kit import clock
from services.api.followers.repository import Followers
from services.api.followers.service import follower_short, listed_followers, own_standing, standing_fields
from services.api.http.context import Context
from services.api.http.files import tables
from services.api.http.ids import follower_parts, follower_ref
from services.api.http.pools import FILES
from services.api.http.problems import ProblemError, invalid, not_found
from services.api.http.schemas import LONGEST_WHY
from services.api.identities import schemas
from services.api.identities.documents import LinkDocument, SaidDocument
from services.api.identities.repository import Identities, profile
from services.api.interactions.documents import ProfileDocument
from services.api.scoring.repository import Scorings
from services.api.storage.tenants import Tenants

COLUMNS = ("platform_a", "follower_a", "platform_b", "follower_b", "why")
MOST_ROWS = 2_000
SUGGESTED = 50
PROFILES_LOOKED_AT = 1_000

Source = Literal["api", "portal", "import", "suggestion"]


async def link(context: Context, brand: str, by: str, said: schemas.LinkInput, source: Source) -> schemas.Link:
    """Links two followers. Raises ProblemError (404, 409, 422)."""
    one, other = _follower("a", said.a), _follower("b", said.b)
    await _known(context, brand, {"a": one, "b": other})
    return await _link(context, brand, one, other, _said(by, said.why, source))


def _said(by: str, why: str, source: Source) -> SaidDocument:
    return {"at": clock.now(), "by": by, "why": why, "source": source}


async def _link(context: Context, brand: str, one: str, other: str, said: SaidDocument) -> schemas.Link:
    identities = Identities(context.database, Tenants.one(brand))
    around = await identities.around(brand, [one, other])
    try:
        identity.check(one, other, around)
    except (SelfError, TooManyError) as error:
        raise invalid("b", str(error)) from None
    made = Link.of(one, other)
    if not await identities.add(brand, made, said, _members([*around, made], made)):
        raise ProblemError(409, "conflict", "these two are linked already")
    return _shown(made, said)


async def unlink(context: Context, brand: str, by: str, said: schemas.UnlinkInput, source: Source) -> None:
    """Removes a link. Raises ProblemError (404)."""
    identities = Identities(context.database, Tenants.one(brand))
    gone = Link.of(_follower("a", said.a), _follower("b", said.b))
    around = await identities.around(brand, gone)
    if not await identities.remove(brand, gone, _said(by, said.why, source), _members(around, gone)):
        raise not_found("link between these two")


def _members(links: Sequence[Link], touched: Link) -> set[str]:
    return {member for each in identity.persons(links) if each & set(touched) for member in each}


async def person(context: Context, brand: str, ref: str) -> schemas.Person | None:
    """The person behind a follower, by the follower's id in lists; None if there is no such follower."""
    try:
        follower = "/".join(follower_parts(ref))
    except ValueError:
        return None
    tenants = Tenants.one(brand)
    links = await Identities(context.database, tenants).around(brand, [follower])
    members = sorted(next((each for each in identity.persons(links) if follower in each), {follower}))
    documents = await Followers(context.database, tenants).some(f"{brand}/{member}" for member in members)
    there = [documents[name] for name in (f"{brand}/{member}" for member in members) if name in documents]
    if not there:
        return None
    now = datetime.now(UTC)
    numbers = await Scorings(context.database).of(there)
    counts: dict[str, int] = {}
    for each in there:
        for kind, times in each["counts"].items():
            counts[kind] = counts.get(kind, 0) + times
    together = identity.together({each["_id"]: own_standing(each) for each in there})
    return schemas.Person(
        id=identity.person_id(brand, members),
        counts=counts,
        **standing_fields(together, numbers[max(numbers)], now),
        followers=await listed_followers(context.database, tenants, there, now),
        links=[
            schemas.Link(**shown_fields(each))
            for each in await Identities(context.database, tenants).stored(brand, links)
        ],
    )


async def suggestions(context: Context, brand: str) -> list[schemas.Suggestion]:
    """Pairs who are not linked yet and whose profiles have verified links to each other."""
    tenants = Tenants.one(brand)
    identities = Identities(context.database, tenants)
    followers = Followers(context.database, tenants)
    now = datetime.now(UTC)
    found: dict[Link, tuple[str, str]] = {}
    after, looked_at = "", 0
    while looked_at < PROFILES_LOOKED_AT and len(found) < SUGGESTED:
        linking = await identities.linking(after, SUGGESTED)
        if not linking:
            break
        after, looked_at = linking[-1]["_id"], looked_at + len(linking)
        there: dict[str, list[ProfileDocument]] = {}
        for each in await identities.at({url for one in linking for url in one["links"]}):
            if each["url"] is not None:
                there.setdefault(each["url"], []).append(each)
        for one in linking:
            for other in (each for url in one["links"] for each in there.get(url, ())):
                pair = Link.of(_name(one), _name(other))
                if pair.a != pair.b and identity.confirm_each_other(profile(one), profile(other)):
                    found[pair] = (one["_id"], other["_id"])
    linked = await identities.around(brand, {name for pair in found for name in pair})
    one_person = identity.persons(linked)
    open_pairs = [pair for pair in found if not any(set(pair) <= each for each in one_person)][:SUGGESTED]
    documents = await followers.some(f"{brand}/{name}" for pair in open_pairs for name in pair)
    numbers = await Scorings(context.database).of(documents.values())
    shown = {name.split("/", 1)[1]: follower_short(each, numbers, now) for name, each in documents.items()}
    return [
        schemas.Suggestion(a=shown[pair.a], b=shown[pair.b])
        for pair in open_pairs
        if pair.a in shown and pair.b in shown
    ]


class _Row(NamedTuple):
    line: int
    one: str
    other: str
    why: str


async def take_file(context: Context, brand: str, by: str, raw: bytes, agree: bool) -> schemas.ImportOutcome:
    """Reads a CSV file of links, and links the good rows if `agree`. Raises ProblemError (422)."""
    rows, bad = await FILES.run(brand, _read, raw)
    known = await Followers(context.database, Tenants.one(brand)).some(
        f"{brand}/{name}" for row in rows for name in (row.one, row.other)
    )
    good = []
    for row in rows:
        missing = [
            (column, name)
            for column, name in (("follower_a", row.one), ("follower_b", row.other))
            if f"{brand}/{name}" not in known
        ]
        if missing:
            column, name = missing[0]
            platform, _, its_id = name.partition("/")
            bad.append(
                schemas.BadRow(
                    line=row.line, column=column, why=f"{its_id!r} on {platform_name(platform)} is not a follower here"
                )
            )
        else:
            good.append(row)
    imported = already = 0
    for row in good if agree else ():
        try:
            await _link(context, brand, row.one, row.other, _said(by, row.why, "import"))
        except ProblemError as error:
            if error.status == 409:
                already += 1
                continue
            bad.append(schemas.BadRow(line=row.line, column="follower_b", why=error.detail))
        else:
            imported += 1
    return schemas.ImportOutcome(
        good=len(good), bad=sorted(bad, key=lambda each: each.line), imported=imported, already=already
    )


def _read(raw: bytes) -> tuple[list[_Row], list[schemas.BadRow]]:
    rows: list[_Row] = []
    bad: list[schemas.BadRow] = []
    for line, cells, broken in tables.read(raw, COLUMNS, COLUMNS, MOST_ROWS).rows:
        found = {name: cells.get(name, "").strip() for name in COLUMNS}
        empty = next((name for name in COLUMNS if not found[name]), None)
        one = f"{found['platform_a']}/{found['follower_a']}"
        other = f"{found['platform_b']}/{found['follower_b']}"
        if broken is not None:
            bad.append(schemas.BadRow(line=line, column=None, why=broken))
        elif empty is not None:
            bad.append(schemas.BadRow(line=line, column=empty, why="it is empty"))
        elif one == other:
            bad.append(schemas.BadRow(line=line, column="follower_b", why="both are the same follower"))
        elif len(found["why"]) > LONGEST_WHY:
            bad.append(schemas.BadRow(line=line, column="why", why=f"it is longer than {LONGEST_WHY} characters"))
        else:
            rows.append(_Row(line, one, other, found["why"]))
    return rows, bad


async def _known(context: Context, brand: str, followers: dict[str, str]) -> None:
    found = await Followers(context.database, Tenants.one(brand)).some(f"{brand}/{name}" for name in followers.values())
    for field, name in followers.items():
        if f"{brand}/{name}" not in found:
            raise invalid(field, "there is no such follower here")


def _follower(field: str, ref: str) -> str:
    try:
        return "/".join(follower_parts(ref))
    except ValueError as error:
        raise invalid(field, str(error)) from None


def _name(document: ProfileDocument) -> str:
    return f"{document['platform']}/{document['follower']}"


def _shown(link: Link, said: SaidDocument) -> schemas.Link:
    return schemas.Link(a=_ref(link.a), b=_ref(link.b), **said)


def shown_fields(document: LinkDocument) -> dict[str, Any]:
    """The fields of a link, or of an event of one, as the API gives them."""
    return {
        "a": _ref(document["a"]),
        "b": _ref(document["b"]),
        "at": document["at"],
        "by": document["by"],
        "why": document["why"],
        "source": document["source"],
    }


def _ref(follower: str) -> str:
    return follower_ref(*follower.split("/", 1))
