"""Turns LinkedIn's notifications about an organization's page into interactions. Pure.

- What somebody writes under a post of the page is a `comment`; what the page or its staff write there in answer to
  somebody is a `reply`. A comment of the page that answers nobody, such as a link below its own post, says nothing.
- A post that names the page is a `mention`, and what the page writes under somebody else's post answers that post.
- The conversation is the post, because a reply names the comment that it answers and not who wrote that.
- LinkedIn writes the URN of a comment in two ways, `(activity:1,2)` and `(urn:li:activity:1,2)`: here it is the second.
- `subscriber` is the member who allowed the notification, never who acted. Each such member of a page has their own
  notification of the same thing, so ids are made of the thing and not of `notificationId`.
- A page's own posts are not notified. The list of them has each as `urn:li:share:…` or `urn:li:ugcPost:…`, while most
  notifications name the same post as `urn:li:activity:…`.
- `lastModifiedAt` is in milliseconds since 1970.

Source: https://learn.microsoft.com/en-us/linkedin/marketing/community-management/organizations/organization-social-action-notifications
and …/shares/posts-api
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple
from urllib.parse import quote

import msgspec
from msgspec import Raw, Struct

from rapport.contracts.events import Actor, Interaction, Medium, Object, Parent
from services.ingest.hooks.delivery import (
    MOST_CHANGES,
    About,
    Delivery,
    Id,
    Lookup,
    UnreadableError,
    Watched,
    decode,
    id_of,
    interaction,
    time_of,
)

_TYPE = "ORGANIZATION_SOCIAL_ACTION_NOTIFICATIONS"
_ORGANIZATION = "urn:li:organization:"
_COMPANY = "urn:li:company:"
"""An older name of the same."""
_COMMENT = re.compile(r"urn:li:comment:\((?:urn:li:)?(\w+:[\w-]+),(\w+)\)")
"""The id of a post in a group has a hyphen."""
_LIKE = re.compile(r"urn:li:(?:like|reaction):\((?:urn:li:)?(\w+:[^,()]+),(?:urn:li:)?(.+)\)")
_MEDIA: dict[str, tuple[Medium, ...]] = {
    "IMAGE": ("image",), "VIDEO": ("video",), "LIVE_VIDEO": ("video",), "ARTICLE": ("link",),
}  # fmt: skip
_ATTACHED: dict[str, tuple[Medium, ...]] = {"image": ("image",), "video": ("video",)}
_UNPUBLISHED = frozenset({"DRAFT", "PUBLISH_REQUESTED", "PUBLISH_FAILED"})
LONGEST_COMMENTARY = 20_000
"""Characters of a post that are looked at. LinkedIn takes 3,000, before it escapes them."""
_ESCAPED = re.compile(r"\\([|{}@\[\]()<>#*_~\\])")
_LITTLE = re.compile(
    r"\{hashtag\|\\?#\|(?P<tag>(?:\\.|[^\\{}]){1,300})\}"
    r"|@\[(?P<name>(?:\\.|[^\\\[\]]){1,300})\]\(urn:[^)\s]{1,100}\)"
    rf"|{_ESCAPED.pattern}"
)
"""What stands in the text of a post for a hashtag, for a name, and for a sign that has a meaning there."""


class _Envelope(Struct):
    type: str
    notifications: list[Raw] = []


class _Thing(Struct, kw_only=True):
    """A post or a comment, as far as LinkedIn shows it."""

    entity: Id | None = None
    owner: Id | None = None
    text: str | None = None
    object: Id | None = None
    parent_comment: Id | None = msgspec.field(default=None, name="parentComment")
    media_category: str | None = msgspec.field(default=None, name="mediaCategory")


class _Decorated(Struct):
    share: _Thing | None = None
    comment: _Thing | None = None


class _Addressed(Struct, rename="camel"):
    organizational_entity: Id | None = None


class _Notification(Struct, kw_only=True, rename="camel"):
    action: str
    source_post: Id | None = None
    decorated_source_post: _Thing | None = None
    last_modified_at: float | None = None
    generated_activity: Id | None = None
    decorated_generated_activity: _Decorated | None = None

    @property
    def at(self) -> datetime | None:
        """When it happened."""
        return time_of(self.last_modified_at / 1000 if self.last_modified_at is not None else None)

    @property
    def post(self) -> str:
        """The URN of the post that it happened to."""
        return id_of(self.source_post, "sourcePost")

    @property
    def share(self) -> _Thing:
        """The post that was made; nothing where LinkedIn does not show it."""
        made = self.decorated_generated_activity
        return (made.share if made else None) or _Thing()

    @property
    def comment(self) -> _Thing:
        """The comment that was made or changed; nothing where LinkedIn does not show it."""
        made = self.decorated_generated_activity
        return (made.comment if made else None) or _Thing()


def read(body: bytes, lookup: Lookup, observed_at: datetime) -> Delivery:
    """What a delivery says, notification by notification. Raises UnreadableError where the whole is none."""
    envelope = decode(body, _Envelope)
    delivery = Delivery()
    if envelope.type != _TYPE:
        delivery.ignored[envelope.type[:64]] += 1
        return delivery
    if len(envelope.notifications) > MOST_CHANGES:
        raise UnreadableError(f"more than {MOST_CHANGES} notifications at once")
    for place, raw in enumerate(envelope.notifications):
        where = f"notifications[{place}]"
        try:
            addressed = decode(raw, _Addressed)
            watched = _watched(id_of(addressed.organizational_entity, "organizationalEntity"), lookup)
        except Exception as error:  # what nobody foresaw must not hold up what comes with it
            delivery.failed(where, error)
            continue
        if not watched:
            delivery.ignored["of an account that nobody connected"] += 1
        for one in watched:
            try:
                _read_one(raw, one, observed_at, delivery)
            except Exception as error:  # as above
                delivery.failed(where, error)
    return delivery


class _Link(Struct, frozen=True):
    rel: str = ""


class _Paging(Struct, frozen=True):
    count: int = 0
    links: Sequence[_Link] = ()


class _Page(Struct):
    """A page of the notifications that LinkedIn is asked for."""

    elements: list[Raw]
    paging: _Paging = _Paging()


def asked(body: bytes, watched: Watched, observed_at: datetime) -> tuple[Delivery, int, bool]:
    """What a page says, how many notifications it has, and whether there are more behind it.

    Each becomes what a webhook's notification becomes. Raises UnreadableError where the whole is no page.
    """
    page = decode(body, _Page)
    if len(page.elements) > MOST_CHANGES:
        raise UnreadableError(f"more than {MOST_CHANGES} notifications at once")
    ours, delivery = _by_urn(watched), Delivery()
    for place, raw in enumerate(page.elements):
        try:
            addressed = decode(raw, _Addressed).organizational_entity
            if addressed is not None and urn_of(str(addressed)) != ours.id:
                delivery.ignored["of another organization"] += 1
                continue
            _read_one(raw, ours, observed_at, delivery)
        except Exception as error:  # what nobody foresaw must not hold up what comes with it
            delivery.failed(f"elements[{place}]", error)
    return delivery, len(page.elements), _goes_on(page, 0)


def _goes_on(page: _Page, asked: int) -> bool:
    """Whether there are more behind a page for which so many were asked; 0 where only LinkedIn says how many."""
    # It may give fewer at once than were asked for; then `count` says to how many it has limited that.
    full = len(page.elements) >= (page.paging.count or asked) > 0
    return full or any(link.rel == "next" for link in page.paging.links)


class _Attached(Struct):
    id: Id | None = None


class _Content(Struct, rename="camel"):
    media: _Attached | None = None
    multi_image: dict[str, Raw] | None = None
    article: dict[str, Raw] | None = None


class _AdContext(Struct, rename="camel"):
    is_dsc: bool = False


class _Distribution(Struct, rename="camel"):
    feed_distribution: str | None = None


class _Post(Struct, rename="camel"):
    """A post as the list of a page's posts has it. Times are in milliseconds."""

    id: Id | None = None
    author: Id | None = None
    commentary: str | None = None
    lifecycle_state: str | None = None
    created_at: float | None = None
    published_at: float | None = None
    last_modified_at: float | None = None
    content: _Content | None = None
    distribution: _Distribution | None = None
    ad_context: _AdContext | None = None

    @property
    def is_ad(self) -> bool:
        """Whether it is shown as an advertisement alone: it is listed like a post, and nobody sees it on the page."""
        hidden = self.distribution is not None and self.distribution.feed_distribution == "NONE"
        return hidden or (self.ad_context is not None and self.ad_context.is_dsc)


class Posts(NamedTuple):
    """A page of an organization's own posts."""

    delivery: Delivery
    many: int
    """How many it has, also those that are not told."""
    more: bool
    """Whether there are more behind it."""
    changed_at: dict[str, datetime]
    """By id, when each was last changed."""
    last_at: datetime | None
    """When the last of them was."""


def posts(body: bytes, at_once: int, watched: Watched, observed_at: datetime) -> Posts:
    """A page of the organization's own posts, of which so many were asked for.

    Raises UnreadableError where the whole is no page.
    """
    page = decode(body, _Page)
    if len(page.elements) > MOST_CHANGES:
        raise UnreadableError(f"more than {MOST_CHANGES} posts at once")
    ours, delivery, last = _by_urn(watched), Delivery(), None
    changed_at: dict[str, datetime] = {}
    for place, raw in enumerate(page.elements):
        try:
            found = decode(raw, _Post)
            at = _at(found.published_at) or _at(found.created_at)
            changed = _at(found.last_modified_at) or at
            last = changed or last
            if (ignored := _no_post(found, ours.id)) is not None:
                delivery.ignored[ignored] += 1
                continue
            if at is None:
                raise UnreadableError("it does not say when it was published")
            thing = id_of(found.id, "id")
            changed_at[thing] = changed or at
            about = About(Object(thing, _url(thing)), thing, thing, at)
            delivery.interactions.append(
                interaction(
                    ours, observed_at, about, id=thing, kind="post", actor=_actor(ours.id, ours),
                    text=plain((found.commentary or "")[:LONGEST_COMMENTARY]) or None, media=_media(found.content),
                )
            )  # fmt: skip
        except Exception as error:  # what nobody foresaw must not hold up what comes with it
            delivery.failed(f"elements[{place}]", error)
    many = len(page.elements)
    return Posts(delivery, many, _goes_on(page, at_once), changed_at, last)


def _no_post(found: _Post, organization: str) -> str | None:
    """What something in the list is that nobody sees on the page; None where it is a post."""
    if urn_of(id_of(found.author, "author")) != organization:
        return "post of another organization"
    if found.lifecycle_state in _UNPUBLISHED:
        return "post that is not published"
    if found.lifecycle_state != "PUBLISHED":
        raise UnreadableError(f"its lifecycleState is {found.lifecycle_state!r:.40}")
    return "advertisement" if found.is_ad else None


def _at(milliseconds: float | None) -> datetime | None:
    return time_of(milliseconds / 1000 if milliseconds is not None else None)


def _media(content: _Content | None) -> tuple[Medium, ...]:
    if content is None:
        return ()
    if content.multi_image is not None:
        return ("image",)
    if content.article is not None:
        return ("link",)
    kind = str(content.media.id).removeprefix("urn:li:").partition(":")[0] if content.media else ""
    return _ATTACHED.get(kind, ())


def plain(commentary: str) -> str:
    """The text of a post as people read it: LinkedIn escapes signs in it, and writes hashtags and names as templates.

    Source: https://learn.microsoft.com/en-us/linkedin/marketing/community-management/shares/little-text-format
    """

    def shown(found: re.Match[str]) -> str:
        said = f"#{found['tag']}" if found["tag"] else found["name"] or found[0]
        return _ESCAPED.sub(r"\1", said)

    return _LITTLE.sub(shown, commentary)


def _watched(organization: str, lookup: Lookup) -> Sequence[Watched]:
    """The accounts of an organization, whether they were connected with its URN or its number. Theirs are URNs here."""
    urn = urn_of(organization)
    forms = [urn]
    if urn.startswith(_ORGANIZATION):
        number = urn.removeprefix(_ORGANIZATION)
        forms += [number, f"{_COMPANY}{number}"]
    return [_by_urn(each) for form in forms for each in lookup(form)]


def _by_urn(watched: Watched) -> Watched:
    return replace(watched, id=urn_of(watched.id), own=frozenset(map(urn_of, watched.own)))


def urn_of(organization: str) -> str:
    """The URN of an organization, given as such or as a number."""
    if organization.isascii() and organization.isdigit():
        return f"{_ORGANIZATION}{organization}"
    if organization.startswith(_COMPANY):
        return f"{_ORGANIZATION}{organization.removeprefix(_COMPANY)}"
    return organization


def _read_one(raw: Raw, watched: Watched, observed_at: datetime, delivery: Delivery) -> None:
    notification = decode(raw, _Notification)
    read_one = _READERS.get(notification.action)
    found = read_one(notification, watched, observed_at) if read_one else None
    if found is None:
        delivery.ignored[notification.action[:64]] += 1
    else:
        delivery.interactions.append(found)


def _comment(found: _Notification, watched: Watched, observed_at: datetime) -> Interaction | None:
    comment, about = _about_comment(found)
    by = found.comment.owner
    if found.action == "ADMIN_COMMENT":
        actor = _actor(str(by or watched.id), watched)
        by_brand = True
    else:
        # A person whom LinkedIn does not name waits for an answer like any other.
        actor = _actor(str(by), watched) if by else Actor(f"unknown:{comment}")
        by_brand = _by_brand(actor.id, watched)
    parent = _answered(found)
    if by_brand and parent is None:
        parent = _post_answered(found, watched)
        if parent is None:
            return None
    return interaction(
        watched, observed_at, about, id=comment, kind="reply" if by_brand else "comment", actor=actor, parent=parent,
        text=found.comment.text,
    )  # fmt: skip


def _edit(found: _Notification, watched: Watched, observed_at: datetime) -> Interaction:
    comment, about = _about_comment(found)
    by, text = found.comment.owner, found.comment.text
    version = f"{int(found.last_modified_at or 0)}-{hashlib.sha256(msgspec.json.encode(text)).hexdigest()[:12]}"
    return interaction(
        watched, observed_at, about, id=f"{comment}#edit-{version}", kind="edit",
        actor=_actor(str(by), watched) if by else Actor(f"unknown:{comment}"), parent=_answered(found), text=text,
    )  # fmt: skip


def _delete(found: _Notification, watched: Watched, observed_at: datetime) -> Interaction:
    """The comment is gone, whoever took it away."""
    comment, about = _about_comment(found)
    actor = _actor(str(found.comment.owner or watched.id), watched)
    return interaction(watched, observed_at, about, id=f"{comment}#delete", kind="delete", actor=actor)


def _like(found: _Notification, watched: Watched, observed_at: datetime) -> Interaction | None:
    """Who likes stands only in the URN of the like, where LinkedIn gives that."""
    post = found.post
    like = _LIKE.fullmatch(str(found.generated_activity or ""))
    if like is None:
        return None
    actor, liked = _actor(f"urn:li:{like[1]}", watched), f"urn:li:{like[2]}"
    if _by_brand(actor.id, watched):
        return None
    thing = _comment_urn(liked) if _COMMENT.fullmatch(liked) else post
    return interaction(
        watched, observed_at, About(Object(thing, _url(thing, post)), post, post, found.at, post),
        id=f"{thing}#{actor.id}#like", kind="reaction", actor=actor, reaction="like",
    )  # fmt: skip


def _share(found: _Notification, watched: Watched, observed_at: datetime) -> Interaction | None:
    share, post = found.share, found.post
    thing = id_of(found.generated_activity or share.entity, "generatedActivity")
    if share.owner is None or _by_brand(urn_of(str(share.owner)), watched):
        return None
    return interaction(
        watched, observed_at, About(Object(thing, _url(thing)), thing, None, found.at, post),
        id=f"{thing}#share", kind="share", actor=_actor(str(share.owner), watched), text=share.text or None,
        media=_MEDIA.get(share.media_category or "", ()),
    )  # fmt: skip


def _mention(found: _Notification, watched: Watched, observed_at: datetime) -> Interaction | None:
    share = found.share
    thing = id_of(found.generated_activity or share.entity or found.source_post, "generatedActivity")
    thread = str(found.source_post or thing)
    actor = _actor(str(share.owner), watched) if share.owner else Actor(f"unknown:{thing}")
    if _by_brand(actor.id, watched):
        return None
    return interaction(
        watched, observed_at, About(Object(thing, _url(thing)), thread, thread, found.at),
        id=thing, kind="mention", actor=actor, text=share.text, media=_MEDIA.get(share.media_category or "", ()),
    )  # fmt: skip


_READERS = {
    "COMMENT": _comment, "ADMIN_COMMENT": _comment, "COMMENT_EDIT": _edit, "COMMENT_DELETE": _delete,
    "LIKE": _like, "SHARE": _share, "SHARE_MENTION": _mention,
}  # fmt: skip


def _about_comment(found: _Notification) -> tuple[str, About]:
    """The URN of a comment, and where it belongs."""
    comment = _comment_urn(id_of(found.generated_activity or found.comment.entity, "generatedActivity"))
    return comment, About(Object(comment, _url(comment, found.post)), found.post, found.post, found.at, found.post)


def _answered(found: _Notification) -> Parent | None:
    """The comment that a comment answers. Its author is not named."""
    for urn in (found.comment.parent_comment, found.comment.object):
        if urn and _COMMENT.fullmatch(str(urn)):
            return Parent(_comment_urn(str(urn)))
    return None


def _post_answered(found: _Notification, watched: Watched) -> Parent | None:
    """The post that the page writes under, where that is somebody else's."""
    owner = found.decorated_source_post.owner if found.decorated_source_post else None
    if owner is None or _by_brand(urn_of(str(owner)), watched):
        return None
    return Parent(found.post, urn_of(str(owner)))


def _by_brand(actor: str, watched: Watched) -> bool:
    """Whether somebody is the brand or works for it; of staff, the URN or the id in it may be noted."""
    return watched.is_brand(actor) or watched.is_staff(actor) or watched.is_staff(actor.rpartition(":")[2])


def _actor(urn: str, watched: Watched) -> Actor:
    urn = urn_of(urn)
    return Actor(urn, name=watched.account.handle if urn == watched.id else None)


def _comment_urn(urn: str) -> str:
    found = _COMMENT.fullmatch(urn)
    return f"urn:li:comment:(urn:li:{found[1]},{found[2]})" if found else urn


def _url(thing: str, post: str | None = None) -> str:
    """Where a post is to be seen, or a comment below it."""
    comment = _COMMENT.fullmatch(thing)
    if comment is None:
        return f"https://www.linkedin.com/feed/update/{quote(thing, safe=':')}/"
    at = quote(post or f"urn:li:{comment[1]}", safe=":")
    return (
        f"https://www.linkedin.com/feed/update/{at}/?commentUrn={quote(f'urn:li:comment:({comment[1]},{comment[2]})')}"
    )
