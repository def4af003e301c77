"""Puts what the recording has of an account into a Mastodon server: what happened since it was connected, and all of
the brand's own posts, which that is about. What was before comes through the door, as an import does.
"""

from collections.abc import Sequence
from datetime import datetime

from rapport.demo.recording.cast import DemoAccount
from rapport.demo.recording.feed import ELSEWHERE, Body, since
from rapport.demo.vendors.mastodon.server import MastodonServer
from rapport.demo.vendors.mastodon.town import Notification, Status

_FIRST_NOTIFICATION = 1_000_000
"""Before those of what happens from now on."""
_TYPES = {
    "comment": "mention", "mention": "mention", "message": "mention",
    "reaction": "favourite", "share": "reblog", "follow": "follow",
}  # fmt: skip


def is_served(body: Body, connected_at: datetime) -> bool:
    """Whether the server alone tells of an interaction: it happened since the connection, and a platform knows it."""
    return body["kind"] not in ELSEWHERE and since(body, connected_at)


def fill(
    server: MastodonServer, account: DemoAccount, bodies: Sequence[Body], connected_at: datetime, token: str
) -> None:
    """Makes the account, which `token` is for, the people who did something, and what they did."""
    brand = str(account.platform_id)
    server.add_account(account.handle.partition("@")[0], token=token, id=brand)
    served = {body["id"]: body for body in bodies if is_served(body, connected_at) or body["kind"] == "post"}
    once = sorted(served.values(), key=lambda body: str(body["occurred_at"]))
    known = {brand}
    for actor in (body["actor"] for body in once if body["kind"] in _TYPES):
        if _bare(actor["id"]) not in known:
            known.add(_bare(actor["id"]))
            name, _, domain = actor["handle"].partition("@")
            server.add_account(name, domain=domain or None, name=actor["name"], id=_bare(actor["id"]))
    for person in {_bare(body["parent"]["actor"]) for body in once if body["kind"] == "reply"} - known:
        server.add_account(f"person{person}", id=person)
    notifications = [
        Notification(
            str(_FIRST_NOTIFICATION + number), brand, _TYPES[body["kind"]], _bare(body["actor"]["id"]), _at(body),
            _about(body),
        )
        for number, body in enumerate(body for body in once if body["kind"] in _TYPES)
    ]  # fmt: skip
    server.remember([status for body in once if (status := _status(body, brand)) is not None], notifications)


def _status(body: Body, brand: str) -> Status | None:
    kind = body["kind"]
    if kind not in ("post", "reply", "comment", "mention", "message"):
        return None
    private = body.get("thread") == body.get("conversation")
    author = brand if kind in ("post", "reply") else _bare(body["actor"]["id"])
    to, to_author, mentions = None, None, [brand]
    if kind == "post":
        mentions = []
    elif kind == "comment":
        to, to_author = _bare(body["post"]), brand
    elif kind == "reply":
        to, to_author = _bare(body["parent"]["id"]), _bare(body["parent"]["actor"])
        mentions = [to_author]
    media = [each for each in body.get("media", ()) if each != "link"]
    visibility = "direct" if private and kind != "post" else "public"
    return Status(_bare(body["id"]), author, body["text"], _at(body), visibility, to, to_author, mentions, media=media)


def _about(body: Body) -> str | None:
    """The status that a notification is about: the brand's own where somebody only reacts."""
    if body["kind"] == "follow":
        return None
    return _bare(body["id"] if body["kind"] in ("comment", "mention", "message") else body["post"])


def _at(body: Body) -> datetime:
    return datetime.fromisoformat(body["occurred_at"])


def _bare(id: str) -> str:
    """An id as the server knows it."""
    return id.partition("@")[0]
