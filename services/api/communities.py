"""Communities, put together for the API and the portal."""

from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec import structs

from rapport.domain.community import Rule, matches
from rapport.domain.community_text import Read, RuleError, from_plain, parse, render
from rapport.domain.times import ms
from rapport.kit.mongo import Document
from services.api import cursors, reading
from services.api.community_facts import Who, asked, by_campaign, facts_of, people, texts_of, who
from services.api.ids import follower_ref
from services.api.pools import RULES
from services.api.problems import FieldProblem, Position, ProblemError, not_found, wrong_fields
from services.api.reading import Database
from services.api.repositories.campaigns import Campaigns
from services.api.repositories.communities import Communities, Place, Samples
from services.api.repositories.followers import Followers
from services.api.repositories.scorings import Scorings
from services.api.repositories.tenants import Tenants
from services.api.schemas.common import Page, PageQuery
from services.api.schemas.communities import (
    Checked,
    Community,
    CommunityEvent,
    CommunityInput,
    CommunityTerms,
    Member,
    Sample,
)
from services.api.schemas.views import FollowerName
from services.api.spreadsheet import Value, lines

MOST = 100
"""Communities of one brand: whoever changes is judged by each of them."""
SAMPLED = 100
"""So many followers say soon enough whether a rule does what was meant."""
SAID_OF_SAMPLE = 2_000
EXPORTED_AT_ONCE = 500
COLUMNS = (
    *("id", "platform", "platform_id", "handle", "name", "stage", "know", "like", "trust"),
    *("first_seen", "last_seen", "member_since"),
)


async def communities(database: Database, tenants: Tenants, query: PageQuery) -> Page[Community]:
    """A brand's communities by id. Raises ProblemError (422) for a foreign cursor."""
    after = str(cursors.decode("communities", query.cursor, (str,))[0]) if query.cursor is not None else None
    found = await Communities(database, tenants).page(after, query.limit + 1)
    shown = found[: query.limit]
    following = cursors.encode("communities", shown[-1]["_id"]) if len(found) > len(shown) else None
    return Page(items=[community(each) for each in shown], next=following)


def community(document: Document) -> Community:
    """A stored community as the API gives it."""
    names = [name for name in Community.model_fields if name not in ("id", "current")]
    return Community(
        id=document["community"],
        current=document["checked_revision"] == document["revision"],
        **{name: document[name] for name in names},
    )


async def existing(database: Database, tenants: Tenants, brand: str, id: str) -> Document:
    """A stored community. Raises ProblemError (404)."""
    found = await Communities(database, tenants).find(brand, id)
    if found is None:
        raise not_found("community")
    return found


async def create(
    database: Database, tenants: Tenants, brand: str, new: CommunityInput, by: str, now: datetime
) -> Community:
    """Stores a new one; its members follow within seconds. Raises ProblemError (409, 422)."""
    repository = Communities(database, tenants)
    rule = await read(database, tenants, brand, new.rule)
    if await repository.count() >= MOST:
        raise ProblemError(409, "conflict", f"a brand has {MOST} communities at most")
    document = {
        "_id": f"{brand}/{new.id}",
        "brand": brand,
        "community": new.id,
        **_terms(new, rule),
        "revision": 1,
        "checked_revision": 0,
        "checked_after": "",
        "members": 0,
        "events": 0,
        "removed_at": None,
        "created_at": now,
        "created_by": by,
        "updated_at": now,
    }
    if not await repository.add(document):
        why = f"the brand has a community with the id {new.id!r} already, or had it until a moment ago"
        raise ProblemError(409, "conflict", why)
    return community(document)


def _terms(terms: CommunityTerms, rule: Rule) -> Document:
    plain = msgspec.to_builtins(rule)
    return {"name": terms.name, "description": terms.description.strip(), "rule": plain, "text": render(rule)}


async def change(
    database: Database, tenants: Tenants, brand: str, id: str, terms: CommunityTerms, now: datetime
) -> Community:
    """Stores other terms. By another rule everybody is judged again. Raises ProblemError (404, 422)."""
    before = await existing(database, tenants, brand, id)
    rule = await read(database, tenants, brand, terms.rule)
    changes = {**_terms(terms, rule), "updated_at": now}
    if all(before[name] == changes[name] for name in ("name", "description", "text")):
        return community(before)
    other = changes["text"] != before["text"]
    after = await Communities(database, tenants).change(brand, id, changes, judge=other)
    if after is None:
        raise not_found("community")
    return community(after)


async def remove(database: Database, tenants: Tenants, brand: str, id: str, now: datetime) -> None:
    """Removes a community. Raises ProblemError (404)."""
    if not await Communities(database, tenants).remove(brand, id, now):
        raise not_found("community")


async def removed(database: Database, tenants: Tenants, brand: str, id: str) -> Community | None:
    """A community that was removed and can be brought back."""
    found = await Communities(database, tenants).removed(brand, id)
    return None if found is None else community(found)


async def restore(database: Database, tenants: Tenants, brand: str, id: str) -> Community:
    """Brings back a community that was removed; who belongs is worked out again. Raises ProblemError (404, 409)."""
    repository = Communities(database, tenants)
    found = await repository.removed(brand, id)
    if found is None:
        raise not_found("removed community")
    if not await repository.restore(found):
        raise ProblemError(409, "conflict", f"there is another community with the id {id!r} by now")
    return community(await existing(database, tenants, brand, id))


async def read(database: Database, tenants: Tenants, brand: str, said: str | dict[str, Any]) -> Rule:
    """The rule in a text or in JSON. Raises ProblemError (422) with the place of what is wrong."""
    try:
        found = parse(said) if isinstance(said, str) else from_plain(said)
        await _refuse_unknown_campaigns(database, tenants, brand, found)
    except RuleError as error:
        raise refused(error) from None
    return found.rule


async def _refuse_unknown_campaigns(database: Database, tenants: Tenants, brand: str, found: Read) -> None:
    asking = by_campaign(found.rule)
    known = await Campaigns(database, tenants).named(brand, asking) if asking else {}
    for campaign, condition in asking.items():
        if campaign not in known:
            raise found.wrong(condition, "value", f"the brand has no campaign with the id “{campaign}”")


def refused(error: RuleError) -> ProblemError:
    """422 for a rule, with its place in the text or in the body's JSON."""
    place = Position(**structs.asdict(error.place)) if error.place is not None else None
    pointer = None if error.pointer is None else f"/rule{error.pointer}"
    field = "rule" if pointer is None else pointer[1:].replace("/", ".")
    return wrong_fields([FieldProblem(field=field, why=error.why, position=place, pointer=pointer)])


async def check(database: Database, tenants: Tenants, brand: str, said: str | dict[str, Any], now: datetime) -> Checked:
    """A rule in both of its forms, and how it does with some followers. Raises ProblemError (422)."""
    rule = await read(database, tenants, brand, said)
    return Checked(
        text=render(rule), rule=msgspec.to_builtins(rule), sample=await _sample(database, tenants, brand, rule, now)
    )


async def _sample(database: Database, tenants: Tenants, brand: str, rule: Rule, now: datetime) -> Sample:
    rows = await Followers(database, tenants).page("last_seen", None, None, SAMPLED)
    samples = Samples(database, tenants)
    everybody = {each["_id"]: each for each in (*rows, *await samples.persons(brand, rows))}
    of_platform: dict[str, list[str]] = defaultdict(list)
    for each in everybody.values():
        of_platform[each["platform"]].append(each["follower"])
    wants = asked([rule])
    texts: dict[Who, list[str]] = {}
    entered: dict[Who, set[str]] = defaultdict(set)
    whole = True
    for platform, followers in of_platform.items():
        if wants.words:
            wrote, changes = await samples.said(platform, followers, SAID_OF_SAMPLE)
            whole = whole and len(wrote) < SAID_OF_SAMPLE
            texts |= {(platform, each): some for each, some in texts_of(wrote, changes).items()}
        if wants.campaigns:
            for entry in await samples.entries(platform, followers):
                entered[who(entry)].add(entry["campaign"])
    numbers = await Scorings(database).of(everybody.values())
    persons = people(everybody.values(), ())

    def matching_of(persons: Collection[Sequence[Document]]) -> int:
        facts = (facts_of(each, numbers[each[0]["scoring"]], texts, entered) for each in persons)
        return sum(matches(rule, one, ms(now)) for one in facts)

    matching = await RULES.run(brand, matching_of, persons)
    return Sample(followers=len(persons), matching=matching, words=whole)


async def members(
    database: Database, tenants: Tenants, brand: str, id: str, query: PageQuery, now: datetime
) -> Page[Member]:
    """Members, the latest first. Raises ProblemError (404, 422)."""
    await existing(database, tenants, brand, id)
    after = cursors.place(f"members-{id}", query.cursor)
    found = await Communities(database, tenants).members(id, after, query.limit + 1)
    shown = found[: query.limit]
    following = None
    if len(found) > len(shown):
        following = cursors.encode(f"members-{id}", ms(shown[-1]["since"]), shown[-1]["_id"])
    return Page(items=await _members(database, tenants, brand, shown, now), next=following)


async def _members(
    database: Database, tenants: Tenants, brand: str, documents: Sequence[Document], now: datetime
) -> list[Member]:
    """With what is known of each. Who was erased a moment ago is left out."""
    known = await Followers(database, tenants).some([_follower(brand, each) for each in documents])
    there = [each for each in documents if _follower(brand, each) in known]
    rows = [known[_follower(brand, each)] for each in there]
    shown = await reading.listed_followers(database, tenants, rows, now)
    return [Member(since=each["since"], follower=one) for each, one in zip(there, shown, strict=True)]


def _follower(brand: str, document: Document) -> str:
    return f"{brand}/{document['platform']}/{document['follower']}"


async def events(database: Database, tenants: Tenants, brand: str, id: str, query: PageQuery) -> Page[CommunityEvent]:
    """Joins and leaves, the latest first. Raises ProblemError (404, 422)."""
    await existing(database, tenants, brand, id)
    before = None
    if query.cursor is not None:
        before = int(cursors.decode(f"community-events-{id}", query.cursor, (int,))[0])
    found = await Communities(database, tenants).events(id, before, query.limit + 1)
    shown = found[: query.limit]
    following = None
    if len(found) > len(shown):
        following = cursors.encode(f"community-events-{id}", shown[-1]["number"])
    named = [_follower(brand, each) for each in shown if each["follower"] is not None]
    known = await Followers(database, tenants).some(named)
    return Page(items=[_event(each, known.get(_follower(brand, each))) for each in shown], next=following)


def _event(document: Document, follower: Document | None) -> CommunityEvent:
    name = None
    if follower is not None:
        name = FollowerName(
            id=follower_ref(document["platform"], document["follower"]),
            platform_id=document["follower"],
            handle=follower["handle"],
            name=follower["name"],
        )
    return CommunityEvent(follower=name, **{each: document[each] for each in ("number", "at", "what", "because")})


async def export(
    database: Database, tenants: Tenants, brand: str, community: Document, now: datetime
) -> AsyncIterator[str]:
    """The members as CSV (RFC 4180), the latest first, a part at a time."""
    yield lines([COLUMNS])
    repository = Communities(database, tenants)
    after: Place | None = None
    while found := await repository.members(community["community"], after, EXPORTED_AT_ONCE):
        after = found[-1]["since"], found[-1]["_id"]
        yield lines([_row(each) for each in await _members(database, tenants, brand, found, now)])


def _row(member: Member) -> list[Value]:
    one = member.follower
    said: dict[str, Value] = {name: getattr(one, name, None) for name in COLUMNS} | {"member_since": member.since}
    return [said[name] for name in COLUMNS]
