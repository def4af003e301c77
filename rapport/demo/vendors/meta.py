"""What Facebook's and Instagram's webhooks have in common: the envelope, the signature, and private messages.

Source: https://developers.facebook.com/docs/graph-api/webhooks/getting-started and
https://developers.facebook.com/docs/messenger-platform/reference/webhook-events
"""

import hashlib
import hmac
import json
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from rapport.demo.recording.cast import DemoAccount
from rapport.demo.recording.feed import Body, is_private


def delivery(
    what: str,
    bodies: Sequence[Body],
    account: DemoAccount,
    change: Callable[[Body, DemoAccount, int], dict[str, Any]],
) -> bytes:
    """One delivery that tells of all of these. `change` makes what is no private message, of its time (seconds) too."""
    return json.dumps({"object": what, "entry": [_entry(body, account, change) for body in bodies]}).encode()


def signed(body: bytes, secret: str) -> dict[str, str]:
    """The headers of a delivery."""
    digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return {"Content-Type": "application/json", "X-Hub-Signature-256": f"sha256={digest}"}


def _entry(
    body: Body, account: DemoAccount, change: Callable[[Body, DemoAccount, int], dict[str, Any]]
) -> dict[str, Any]:
    """Meta tells when it sent something, which is when it happened: nothing was on its way for long."""
    at = int(datetime.fromisoformat(body["occurred_at"]).timestamp())
    if is_private(body, account):
        return {"id": account.platform_id, "time": at * 1000, "messaging": [_messaging(body, account, at * 1000)]}
    return {"id": account.platform_id, "time": at, "changes": [change(body, account, at)]}


def _messaging(body: Body, account: DemoAccount, milliseconds: int) -> dict[str, Any]:
    by_brand = body["kind"] == "reply"
    person, brand = {"id": body["parent"]["actor"] if by_brand else body["actor"]["id"]}, {"id": account.platform_id}
    sender, recipient = (brand, person) if by_brand else (person, brand)
    its = {"sender": sender, "recipient": recipient, "timestamp": milliseconds}
    thing = body["object"]["id"]
    match body["kind"]:
        case "edit":
            return {**its, "message_edit": {"mid": thing, "text": body["text"], "num_edit": 1}}
        case "delete":
            return {**its, "message": {"mid": thing, "is_deleted": True}}
    return {**its, "message": {"mid": thing, "text": body["text"], **({"is_echo": True} if by_brand else {})}}
