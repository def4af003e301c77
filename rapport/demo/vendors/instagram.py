"""Instagram: what people write to an account, and what it answers, as Meta's webhooks push it.

Of likes, follows, deleted comments and the account's own posts they tell nothing.

Source: https://developers.facebook.com/docs/instagram-platform/webhooks/examples
"""

from collections.abc import Sequence
from typing import Any

from rapport.demo.recording.cast import DemoAccount
from rapport.demo.recording.feed import Body
from rapport.demo.vendors import meta

PATH = "/v1/platforms/instagram"


def delivery(bodies: Sequence[Body], account: DemoAccount) -> bytes:
    """One delivery that tells of all of these."""
    return meta.delivery("instagram", bodies, account, _change)


def _change(body: Body, account: DemoAccount, _: int) -> dict[str, Any]:
    by = {"id": body["actor"]["id"], "username": body["actor"]["handle"]}
    value = {"media": {"id": body["post"], "media_product_type": "FEED"}, "id": body["id"], "text": body["text"]}
    if body["kind"] == "reply":
        by = {"id": account.platform_id, "username": account.handle}
        value["parent_id"] = body["parent"]["id"]
    return {"field": "comments", "value": {"from": by, **value}}
