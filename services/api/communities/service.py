"""Communities, for the API and the portal."""

from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec import structs

from rapport.domain.communities.community import CommunityRule, matches
from rapport.domain.communities.text import Read, RuleError, from_plain, parse, render
from rapport.domain.times import ms
from services.api.campaigns.repository import Campaigns
from services.api.communities.documents import (
    CommunityDocument,
    CommunityTermsDocument,
    EventDocument,
    MemberDocument,
)
from services.api.communities.facts import RuledFollower, Who, asked, by_campaign, facts_of, people, texts_of
from services.api.communities.repository import Communities, Samples
from services.api.communities.schemas import (
    Checked,
    Community,
    CommunityEvent,
    CommunityInput,
    CommunityTerms,
    Member,
    Sample,
)
from services.api.followers.documents import ListedFollower
from services.api.followers.repository import Followers
from services.api.followers.schemas import FollowerName
from services.api.followers.service import listed_followers
from services.api.http import paging
from services.api.http.files.spreadsheet import Value, lines
from services.api.http.ids import follower_ref
from services.api.http.pools import RULES
from services.api.http.problems import FieldProblem, Position, ProblemError, not_found, wrong_fields
from services.api.http.schemas import Page, PageQuery
from services.api.scoring.repository import Scorings
from services.api.storage.tenants import Database, Tenants

MOST = 100
"""Communities of one brand. Each of them judges everybody who changes."""
SAMPLED = 100
"""Followers that a rule is tried on: enough to see whether it does what was meant."""
SAID_OF_SAMPLE = 2_000
EXPORTED_AT_ONCE = 500
COLUMNS = (
    *("id", "platform", "platform_id", "handle", "name", "stage", "know", "like", "trust"),
    *("first_seen", "last_seen", "member_since"),
)


async def listed(database: Database, tenants: Tenants, query: PageQuery) -> Page[Community]:
    """A brand's communities by id. Raises ProblemError (422) for a foreign cursor."""
    after = str(paging.decode("communities", query.cursor, (str,))[0]) if query.cursor is not None else None
    rows = await Communities(database, tenants).page(after, paging.rows_to_read(query.limit))
    some, following = paging.page(rows, query.limit, lambda row: paging.encode("communities", row["_id"]))
    return Page(items=[shown(each) for each in some], next=following)


def shown(document: CommunityDocument) -> Community:
    """A stored community as the API gives it."""
    current = document["checked_revision"] == document["revision"]
    return Community.model_validate({**document, "id": document["community"], "current": current})


async def existing(database: Database, tenants: Tenants, brand: str, id: str) -> CommunityDocument:
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
        raise ProblemError(409, "conflict", f"a brand can have at most {MOST} communities")
    document: CommunityDocument = {
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
        why = f"the brand already has a community with the id {new.id!r}, or is just removing it"
        raise ProblemError(409, "conflict", why)
    return shown(document)


def _terms(terms: CommunityTerms, rule: CommunityRule) -> CommunityTermsDocument:
    plain = msgspec.to_builtins(rule)
    return {"name": terms.name, "description": terms.description.strip(), "rule": plain, "text": render(rule)}


async def change(
    database: Database, tenants: Tenants, brand: str, id: str, terms: CommunityTerms, now: datetime
) -> Community:
    """Stores other terms. If the rule changes, everybody is judged again. Raises ProblemError (404, 422)."""
    before = await existing(database, tenants, brand, id)
    rule = await read(database, tenants, brand, terms.rule)
    changes = _terms(terms, rule)
    other = changes["text"] != before["text"]
    if not other and (changes["name"], changes["description"]) == (before["name"], before["description"]):
        return shown(before)
    after = await Communities(database, tenants).change(brand, id, changes, now, judge=other)
    if after is None:
        raise not_found("community")
    return shown(after)


async def remove(database: Database, tenants: Tenants, brand: str, id: str, now: datetime) -> None:
    """Removes a community. Raises ProblemError (404)."""
    if not await Communities(database, tenants).remove(brand, id, now):
        raise not_found("community")


async def removed(database: Database, tenants: Tenants, brand: str, id: str) -> Community | None:
    """A removed community that can be brought back."""
    found = await Communities(database, tenants).removed(brand, id)
    return None if found is None else shown(found)


async def restore(database: Database, tenants: Tenants, brand: str, id: str) -> Community:
    """Brings back a removed community; everybody is judged again. Raises ProblemError (404, 409)."""
    repository = Communities(database, tenants)
    found = await repository.removed(brand, id)
    if found is None:
        raise not_found("removed community")
    if not await repository.restore(found):
        raise ProblemError(409, "conflict", f"another community has the id {id!r} now")
    return shown(await existing(database, tenants, brand, id))


async def read(database: Database, tenants: Tenants, brand: str, said: str | dict[str, Any]) -> CommunityRule:
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
    """A rule in both of its forms, and how many of some followers match it. Raises ProblemError (422)."""
    rule = await read(database, tenants, brand, said)
    return Checked(
        text=render(rule), rule=msgspec.to_builtins(rule), sample=await _sample(database, tenants, brand, rule, now)
    )


async def _sample(database: Database, tenants: Tenants, brand: str, rule: CommunityRule, now: datetime) -> Sample:
    rows = await Followers(database, tenants).page("last_seen", None, None, SAMPLED)
    samples = Samples(database, tenants)
    everybody: dict[str, RuledFollower] = {each["_id"]: each for each in (*rows, *await samples.persons(brand, rows))}
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
            for follower, campaign in await samples.entries(platform, followers):
                entered[follower].add(campaign)
    numbers = await Scorings(database).of(everybody.values())
    persons = people(everybody.values(), ())

    def matching_of(persons: Collection[Sequence[RuledFollower]]) -> int:
        facts = (facts_of(each, numbers[each[0]["scoring"]], texts, entered) for each in persons)
        return sum(matches(rule, one, ms(now)) for one in facts)

    matching = await RULES.run(brand, matching_of, persons)
    return Sample(followers=len(persons), matching=matching, words=whole)


async def members(
    database: Database, tenants: Tenants, brand: str, id: str, query: PageQuery, now: datetime
) -> Page[Member]:
    """Members, the latest first. Raises ProblemError (404, 422)."""
    await existing(database, tenants, brand, id)
    after = paging.position(f"members-{id}", query.cursor)
    rows = await Communities(database, tenants).members(id, after, paging.rows_to_read(query.limit))
    some, following = paging.page(
        rows, query.limit, lambda row: paging.cursor_after(f"members-{id}", row["since"], row["_id"])
    )
    return Page(items=await _members(database, tenants, brand, some, now), next=following)


async def _members(
    database: Database, tenants: Tenants, brand: str, documents: Sequence[MemberDocument], now: datetime
) -> list[Member]:
    """Members with their profiles. Somebody who has just been erased is left out."""
    known = await Followers(database, tenants).some([_follower(brand, each) for each in documents])
    there = [each for each in documents if _follower(brand, each) in known]
    rows = [known[_follower(brand, each)] for each in there]
    profiles = await listed_followers(database, tenants, rows, now)
    return [Member(since=each["since"], follower=one) for each, one in zip(there, profiles, strict=True)]


def _follower(brand: str, document: MemberDocument | EventDocument) -> str:
    return f"{brand}/{document['platform']}/{document['follower']}"


async def events(database: Database, tenants: Tenants, brand: str, id: str, query: PageQuery) -> Page[CommunityEvent]:
    """Joins and leaves, the latest first. Raises ProblemError (404, 422)."""
    await existing(database, tenants, brand, id)
    before = None
    if query.cursor is not None:
        before = int(paging.decode(f"community-events-{id}", query.cursor, (int,))[0])
    rows = await Communities(database, tenants).events(id, before, paging.rows_to_read(query.limit))
    some, following = paging.page(rows, query.limit, lambda row: paging.encode(f"community-events-{id}", row["number"]))
    named = [_follower(brand, each) for each in some if each["follower"] is not None]
    known = await Followers(database, tenants).some(named)
    return Page(items=[_event(each, known.get(_follower(brand, each))) for each in some], next=following)


def _event(document: EventDocument, follower: ListedFollower | None) -> CommunityEvent:
    name = None
    if follower is not None:
        name = FollowerName(
            id=follower_ref(follower["platform"], follower["follower"]),
            platform_id=follower["follower"],
            handle=follower["handle"],
            name=follower["name"],
        )
    return CommunityEvent.model_validate({**document, "follower": name})


async def export(
    database: Database, tenants: Tenants, brand: str, community: CommunityDocument, now: datetime
) -> AsyncIterator[str]:
    """The members as CSV (RFC 4180), the latest first, a part at a time."""
    yield lines([COLUMNS])
    repository = Communities(database, tenants)
    after: paging.Position | None = None
    while found := await repository.members(community["community"], after, EXPORTED_AT_ONCE):
        after = found[-1]["since"], found[-1]["_id"]
        yield lines([_row(each) for each in await _members(database, tenants, brand, found, now)])


def _row(member: Member) -> list[Value]:
    one = member.follower
    said: dict[str, Value] = {name: getattr(one, name, None) for name in COLUMNS} | {"member_since": member.since}
    return [said[name] for name in COLUMNS]
