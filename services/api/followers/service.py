"""Lists of followers, and one follower with scores, timeline, answers and communities."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, cast

import msgspec

from rapport.contracts.controls import Stage
from rapport.contracts.scoring import Scoring
from rapport.domain.identity import Standing
from rapport.domain.relationships import why
from rapport.domain.relationships.relationship import DIMENSIONS, score, stage, stage_until, worth
from rapport.domain.retention import shown_text
from rapport.domain.times import ms, utc
from services.api.campaigns.repository import Campaigns
from services.api.communities.repository import Communities, Samples
from services.api.exchanges.repository import Exchanges
from services.api.followers.documents import (
    FollowerDocument,
    FollowerStanding,
    FollowerSummary,
    ListedFollower,
    standing_of,
)
from services.api.followers.repository import SORTED_BY, Followers
from services.api.followers.schemas import (
    Change,
    Changes,
    Contribution,
    Contributions,
    Follower,
    FollowerDetail,
    FollowerShort,
    FollowersQuery,
    GivenAnswer,
    Membership,
    Step,
)
from services.api.http import paging
from services.api.http.ids import follower_parts, follower_ref
from services.api.http.schemas import Page
from services.api.interactions.repository import Interactions
from services.api.interactions.service import moment_shown
from services.api.scoring.repository import Numbers, Scorings
from services.api.storage.tenants import Database, Tenants


def stage_of(document: FollowerStanding | None, numbers: Numbers, now: datetime) -> Stage:
    """The stage at `now` of the whole person; `new` if the views do not have the follower yet."""
    if document is None:
        return "new"
    return cast("Stage", stage(*standing_of(document), ms(now), numbers[document["scoring"]]))


def own_standing(document: FollowerSummary) -> Standing:
    """What a follower brings to a person by itself."""
    return Standing(document["sums"], document["last_purchase_at"])


def standing_fields(standing: Standing, scoring: Scoring, now: datetime) -> dict[str, Any]:
    """Stage and dimensions of a whole person."""
    bought = standing.last_purchase_at
    return {
        "stage": stage(standing.sums, ms(bought) if bought else None, ms(now), scoring),
        **{name: score(standing.sums.get(name, 0.0), name, ms(now), scoring) for name in DIMENSIONS},
    }


def follower_short(document: FollowerSummary, numbers: Numbers, now: datetime) -> FollowerShort:
    """A follower in short."""
    return FollowerShort(
        id=follower_ref(document["platform"], document["follower"]),
        platform_id=document["follower"],
        handle=document["handle"],
        name=document["name"],
        stage=stage_of(document, numbers, now),
    )


def follower_fields(document: FollowerSummary, open_exchanges: int, numbers: Numbers, now: datetime) -> dict[str, Any]:
    """The fields of `followers.schemas.Follower`."""
    scoring = numbers[document["scoring"]]
    until = stage_until(*standing_of(document), ms(now), scoring)
    return {
        "id": follower_ref(document["platform"], document["follower"]),
        "platform_id": document["follower"],
        "platform": document["platform"],
        "handle": document["handle"],
        "name": document["name"],
        "first_seen": document["first_seen"],
        "last_seen": document["last_seen"],
        "counts": document["counts"],
        "stage": stage_of(document, numbers, now),
        "stage_until": None if until is None else utc(until),
        "person": document["person"],
        **{name: score(document["standing"]["sums"].get(name, 0.0), name, ms(now), scoring) for name in DIMENSIONS},
        "open_exchanges": open_exchanges,
    }


def follower_shown(document: FollowerSummary, open_exchanges: int, numbers: Numbers, now: datetime) -> Follower:
    """A follower as lists show one."""
    return Follower(**follower_fields(document, open_exchanges, numbers, now))


def changes_shown(document: ListedFollower, scoring: Scoring, now: datetime, over: int) -> Changes:
    """How each dimension changed in the last `over` days."""
    return Changes(
        **{
            name: Change(
                points=round(each.points),
                brought=_worths(each.brought),
                faded=round(each.faded, 2),
            )
            for name, each in why.changes(document["days"], scoring, ms(now), over).items()
        }
    )


def steps_shown(document: ListedFollower, scoring: Scoring, now: datetime) -> list[Step]:
    """What would raise the stage."""
    found = why.next_steps(*standing_of(document), document["days"], scoring, ms(now))
    return [Step.model_validate(msgspec.to_builtins(each)) for each in found]


def _worths(worths: Mapping[str, float]) -> list[Contribution]:
    found = [Contribution(kind=kind, worth=round(worth, 2)) for kind, worth in worths.items()]
    return sorted((each for each in found if each.worth), key=lambda each: (-abs(each.worth), each.kind))


def contributions_shown(document: FollowerDocument, scoring: Scoring, now: datetime) -> Contributions:
    """What made each dimension, the largest first."""
    return Contributions(
        **{
            name: _worths(
                {
                    kind: worth(total, name, ms(now), scoring)
                    for kind, total in document["contributions"].get(name, {}).items()
                }
            )
            for name in DIMENSIONS
        }
    )


LONGEST_TIMELINE = 100


async def page_of_followers(
    database: Database, tenants: Tenants, query: FollowersQuery, now: datetime
) -> Page[Follower]:
    """Followers by one dimension or last seen, descending. Raises ProblemError (422) for a wrong cursor."""
    kind = f"followers-{query.sort}"
    after: tuple[Any, str] | None = None
    if query.cursor is not None:
        by_time = query.sort == "last_seen"
        value, last_id = paging.decode(kind, query.cursor, (int if by_time else float, str))
        after = (paging.time_of(value) if by_time else float(value), str(last_id))
    found = await Followers(database, tenants).page(query.sort, query.stage, after, paging.rows_to_read(query.limit))
    shown, following = paging.page(found, query.limit, lambda row: _cursor_after(row, query.sort, kind))
    return Page(items=await listed_followers(database, tenants, shown, now), next=following)


def _cursor_after(row: ListedFollower, sort: str, kind: str) -> str:
    fields: Mapping[str, Any] = row
    value = fields[SORTED_BY[sort]]
    return paging.encode(kind, ms(value) if isinstance(value, datetime) else value, row["_id"])


async def listed_followers(
    database: Database, tenants: Tenants, documents: Sequence[FollowerSummary], now: datetime
) -> list[Follower]:
    """Followers as lists show them, each with the number of open exchanges."""
    keys = [(each["platform"], each["follower"]) for each in documents]
    waiting = await Exchanges(database, tenants).open_by_follower(keys) if keys else {}
    numbers = await Scorings(database).of(documents)
    return [follower_shown(each, waiting.get(key, 0), numbers, now) for each, key in zip(documents, keys, strict=True)]


async def follower_detail(
    database: Database, tenants: Tenants, brand: str, ref: str, now: datetime
) -> FollowerDetail | None:
    """One follower, by the id in lists; None if there is none."""
    try:
        platform, its_id = follower_parts(ref)
    except ValueError:
        return None
    document = await Followers(database, tenants).find(f"{brand}/{platform}/{its_id}")
    if document is None:
        return None
    waiting = await Exchanges(database, tenants).open_by_follower([(platform, its_id)])
    timeline = await Interactions(database, tenants).of_follower(platform, its_id, LONGEST_TIMELINE)
    numbers = await Scorings(database).of([document])
    scoring = numbers[document["scoring"]]
    return FollowerDetail(
        **follower_fields(document, waiting.get((platform, its_id), 0), numbers, now),
        contributions=contributions_shown(document, scoring, now),
        last_7d=changes_shown(document, scoring, now, 7),
        last_30d=changes_shown(document, scoring, now, 30),
        next=steps_shown(document, scoring, now),
        timeline=[moment_shown(each) for each in timeline],
        answers=await given(database, tenants, brand, platform, its_id),
        communities=await memberships(database, tenants, document),
    )


async def given(database: Database, tenants: Tenants, brand: str, platform: str, follower: str) -> list[GivenAnswer]:
    """A follower's answers in surveys, the latest first."""
    repository = Campaigns(database, tenants)
    documents = [each for each in await repository.answers_of(brand, platform, follower) if each["answers"]]
    if not documents:
        return []
    surveys = await repository.named(brand, {each["campaign"] for each in documents})
    found = []
    for document in documents:
        its = surveys[document["campaign"]]
        for question in its["survey"]["questions"] if its["survey"] else ():
            answer = document["answers"].get(question["id"])
            if answer is not None:
                labels = {each["id"]: each["label"] for each in question["options"]}
                said = (
                    labels[answer["option"]]
                    if answer.get("option")
                    else shown_text(answer["text"], document["platform"])
                )
                found.append(
                    GivenAnswer(
                        campaign=its["campaign"],
                        name=its["name"],
                        question=question["text"],
                        answer=said,
                        at=answer["at"],
                        by=answer["by"],
                    )
                )
    return sorted(found, key=lambda each: (each.at, each.campaign, each.question), reverse=True)


async def memberships(database: Database, tenants: Tenants, follower: FollowerDocument) -> list[Membership]:
    """The communities of a follower or, if linked, of the person, by id."""
    repository = Communities(database, tenants)
    brand = follower["brand"]
    members = {(follower["platform"], follower["follower"])}
    if follower["person"] is not None:
        linked = await Samples(database, tenants).persons(brand, [follower])
        members |= {(each["platform"], each["follower"]) for each in linked}
    since = {
        each["community"]: each["since"]
        for platform, its_id in sorted(members)
        for each in await repository.of_follower(platform, its_id)
    }
    found = await repository.named(brand, since) if since else []
    return [Membership(id=each["community"], name=each["name"], since=since[each["community"]]) for each in found]
