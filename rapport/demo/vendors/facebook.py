"""Facebook: what happens on a Page, as Meta's webhooks push it, signed with the app's secret.

Source: https://developers.facebook.com/docs/graph-api/webhooks/reference/page and
https://developers.facebook.com/docs/messenger-platform/reference/webhook-events
"""

import hashlib
import hmac
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from rapport.demo.recording.cast import DemoAccount
from rapport.demo.recording.feed import Body

PATH = "/v1/platforms/facebook"
_POSTS = {"image": "photo", "video": "video", "link": "link"}
_VERBS = {"edit": "edited", "delete": "remove", "hide": "hide"}


def delivery(bodies: Sequence[Body], account: DemoAccount) -> bytes:
    """One delivery that tells of all of these."""
    return json.dumps({"object": "page", "entry": [_entry(body, account) for body in bodies]}).encode()


def signed(body: bytes, secret: str) -> dict[str, str]:
    """The headers of a delivery."""
    digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return {"Content-Type": "application/json", "X-Hub-Signature-256": f"sha256={digest}"}


def _entry(body: Body, account: DemoAccount) -> dict[str, Any]:
    """Facebook tells when it sent something, which is when it happened: nothing was on its way for long."""
    at = int(datetime.fromisoformat(body["occurred_at"]).timestamp())
    if body.get("thread", "").startswith("messages:"):
        return {"id": account.platform_id, "time": at * 1000, "messaging": [_messaging(body, account, at * 1000)]}
    change = {"field": "feed", "value": _value(body, account, at)}
    return {"id": account.platform_id, "time": at, "changes": [change]}


def _messaging(body: Body, account: DemoAccount, milliseconds: int) -> dict[str, Any]:
    by_page = body["kind"] == "reply"
    person, page = {"id": body["parent"]["actor"] if by_page else body["actor"]["id"]}, {"id": account.platform_id}
    sender, recipient = (page, person) if by_page else (person, page)
    its = {"sender": sender, "recipient": recipient, "timestamp": milliseconds}
    thing = body["object"]["id"]
    match body["kind"]:
        case "edit":
            return {**its, "message_edit": {"mid": thing, "text": body["text"], "num_edit": 1}}
        case "delete":
            return {**its, "message": {"mid": thing, "is_deleted": True}}
    return {**its, "message": {"mid": thing, "text": body["text"], **({"is_echo": True} if by_page else {})}}


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
