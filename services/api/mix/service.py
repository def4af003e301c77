"""The content mix, posts and their labels."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from rapport.domain import words
from rapport.domain.mix.labels import (
    BRINGS,
    FORMATS,
    LABELS,
    UNSORTED,
    Interval,
    LabelRule,
    Tally,
    dispersion,
    folded,
    label_of,
    per_post,
    share,
    standing,
)
from services.api.brands.documents import BrandDocument
from services.api.http import paging
from services.api.http.ids import follower_parts, follower_ref
from services.api.http.periods import period, span_of
from services.api.http.problems import FieldProblem, ProblemError, not_found, wrong_fields
from services.api.http.schemas import Page
from services.api.mix.documents import PostDocument
from services.api.mix.repository import Posts
from services.api.mix.schemas import Brought, Estimate, Label, Mix, MixRule, MixSettings, Part, Post, PostsQuery
from services.api.storage.stored import read
from services.api.storage.tenants import Database, Tenants


async def mix(database: Database, brand: BrandDocument, first: date | None, last: date | None, now: datetime) -> Mix:
    """A brand's mix on some days. Raises ProblemError (422)."""
    zone = brand["settings"]["timezone"]
    since, until = period(first, last, zone, now)
    posts = Posts(database, Tenants.one(brand["_id"]))
    groups = await posts.tallies(*span_of(since, until, ZoneInfo(zone)))
    targets = await settings(database, brand["_id"])
    by_label, by_format = folded(groups, 0), folded(groups, 1)
    whole = sum(each.posts for each in groups.values())
    unsorted = by_label.get(UNSORTED, Tally()).posts
    return Mix(
        first=date.fromisoformat(since),
        last=date.fromisoformat(until),
        timezone=zone,
        posts=whole,
        unsorted=unsorted,
        labels=_parts(by_label, LABELS, whole - unsorted, targets.labels),
        formats=_parts(by_format, FORMATS, whole, targets.formats),
    )


def _parts(groups: Mapping[str, Tally], names: tuple[str, ...], of: int, targets: Mapping[Any, float]) -> list[Part]:
    spreads = {name: dispersion(groups.values(), name) for name in BRINGS}
    found = []
    for name in names:
        group = groups.get(name, Tally())
        part = share(group.posts, of)
        brought = {
            each: Brought(total=group.sums.get(each, 0), per_post=_estimate(per_post(group, each, spreads[each])))
            for each in BRINGS
        }
        found.append(
            Part(
                name=name,
                posts=group.posts,
                share=_estimate(part),
                target=targets.get(name),
                standing=standing(part, targets.get(name)),
                **brought,
            )
        )
    return found


def _estimate(interval: Interval | None) -> Estimate | None:
    return None if interval is None else Estimate(value=interval.value, low=interval.low, high=interval.high)


async def posts(database: Database, brand: BrandDocument, query: PostsQuery, now: datetime) -> Page[Post]:
    """Posts that a brand published on some days, the latest first. Raises ProblemError (422)."""
    after = paging.position("posts", query.cursor)
    zone = brand["settings"]["timezone"]
    start, end = span_of(*period(query.from_, query.to, zone, now), ZoneInfo(zone))
    repository = Posts(database, Tenants.one(brand["_id"]))
    found = await repository.page(query.label, start, end, after, paging.rows_to_read(query.limit))
    shown, following = paging.page(
        found, query.limit, lambda row: paging.cursor_after("posts", row["published_at"], row["_id"])
    )
    return Page(items=[shown_post(each) for each in shown], next=following)


async def post(database: Database, brand: str, ref: str) -> Post | None:
    """One post, by its id in lists."""
    try:
        return shown_post((await _found(database, brand, ref))[1])
    except ProblemError:
        return None


def shown_post(document: PostDocument) -> Post:
    """A stored post as the API gives it."""
    its_id = document["_id"].removeprefix(f"{document['brand']}/{document['platform']}/")
    fields: Mapping[str, Any] = document
    names = [name for name in Post.model_fields if name != "id"]
    return Post(id=follower_ref(document["platform"], its_id), **{name: fields[name] for name in names})


async def label(database: Database, brand: str, ref: str, wanted: Label, by: str, now: datetime) -> Post:
    """Gives a post a label by hand. Raises ProblemError (404)."""
    repository, post = await _found(database, brand, ref)
    await repository.label_by_hand(post, wanted, by, now)
    return _still_there(await repository.show_label(post, wanted, "hand"))


async def unlabel(database: Database, brand: str, ref: str) -> Post:
    """Removes a label by hand. The label of the plan or the rules applies again. Raises ProblemError (404)."""
    repository, post = await _found(database, brand, ref)
    await repository.forget_label(post)
    rules = await repository.settings(brand)
    found = label_of(
        post["text"],
        None,
        await repository.planned_label(post["_id"]),
        read(rules["rules"], list[LabelRule]) if rules else [],
    )
    return _still_there(await repository.show_label(post, found.label, found.by))


async def _found(database: Database, brand: str, ref: str) -> tuple[Posts, PostDocument]:
    repository = Posts(database, Tenants.one(brand))
    try:
        platform, its_id = follower_parts(ref)
    except ValueError:
        raise not_found("post") from None
    found = await repository.find(f"{brand}/{platform}/{its_id}")
    if found is None:
        raise not_found("post")
    return repository, found


def _still_there(document: PostDocument | None) -> Post:
    if document is None:
        raise not_found("post")
    return shown_post(document)


async def settings(database: Database, brand: str) -> MixSettings:
    """The targets and rules of a brand."""
    stored = await Posts(database, Tenants.one(brand)).settings(brand)
    if stored is None:
        return MixSettings()
    return MixSettings.model_validate(
        {"labels": stored["labels"], "formats": stored["formats"], "rules": stored["rules"]}
    )


def rule_flaws(rule: MixRule) -> dict[str, str]:
    """Why a rule could never match a post, by field."""
    hashtag = None if rule.hashtag is None else words.hashtag_flaw(rule.hashtag)
    word = None if rule.word is None else words.flaw(rule.word)
    return {field: why for field, why in (("hashtag", hashtag), ("word", word)) if why is not None}


async def set_settings(database: Database, brand: str, wanted: MixSettings) -> MixSettings:
    """Stores targets and rules. Posts get their labels by the new rules within seconds. Raises ProblemError (422)."""
    problems = [
        FieldProblem(field=f"rules.{place}.{field}", why=why)
        for place, rule in enumerate(wanted.rules)
        for field, why in rule_flaws(rule).items()
    ]
    if problems:
        raise wrong_fields(problems)
    content = wanted.model_dump(exclude_none=True)
    for rule in content["rules"]:
        if "hashtag" in rule:
            rule["hashtag"] = words.bare_hashtag(rule["hashtag"])
    await Posts(database, Tenants.one(brand)).set(brand, content)
    return await settings(database, brand)
