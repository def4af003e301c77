"""Facebook: what happens on a Page, as Meta's webhooks push it.

Source: https://developers.facebook.com/docs/graph-api/webhooks/reference/page
"""

from collections.abc import Sequence
from typing import Any

from rapport.demo.recording.cast import DemoAccount
from rapport.demo.recording.feed import Body
from rapport.demo.vendors import meta

PATH = "/v1/platforms/facebook"
_POSTS = {"image": "photo", "video": "video", "link": "link"}
_VERBS = {"edit": "edited", "delete": "remove", "hide": "hide"}


def delivery(bodies: Sequence[Body], account: DemoAccount) -> bytes:
    """One delivery that tells of all of these."""
    return meta.delivery("page", bodies, account, _change)


def _change(body: Body, account: DemoAccount, at: int) -> dict[str, Any]:
    return {"field": "feed", "value": _value(body, account, at)}


def _value(body: Body, account: DemoAccount, at: int) -> dict[str, Any]:
    kind, post = body["kind"], body.get("post")
    who = {"from": {"id": body["actor"]["id"], "name": body["actor"]["name"]}, "created_time": at}
    if kind in ("post", "reply", "hide"):
        who["from"] = {"id": account.platform_id, "name": account.handle}
    match kind:
        case "post":
            item = next((_POSTS[each] for each in body["media"]), "status")
            return {**who, "item": item, "verb": "add", "post_id": body["id"], "message": body["text"], "published": 1}
        case "reaction":
            verb = "remove" if body.get("undo") else "add"
            what = {"item": "reaction", "reaction_type": body["reaction"], "verb": verb, "post_id": post}
            return {**who, **what, "parent_id": post}
        case "share":
            person = body["actor"]["id"]
            ids = {"share_id": body["id"], "post_id": f"{person}_{body['id']}", "parent_id": post}
            return {**who, "item": "share", "verb": "add", **ids}
    words = {"verb": _VERBS.get(kind, "add")} | ({"message": body["text"]} if "text" in body else {})
    thing = body["object"]["id"]
    if kind == "reply":
        # What a visitor wrote on the wall is answered right below it.
        return {**who, **words, "item": "comment", "post_id": body["thread"], "comment_id": thing,
                "parent_id": body["parent"]["id"]}  # fmt: skip
    if post is None:
        return {**who, **words, "item": "status", "post_id": thing}
    return {**who, **words, "item": "comment", "post_id": post, "comment_id": thing, "parent_id": post}
