"""Puts what the recording has of a channel into a YouTube server: what was written since it was connected and is still
there, and all of its videos. What was before comes through the door, as an import does.
"""

from collections.abc import Sequence
from datetime import datetime

from rapport.demo.recording.cast import DemoAccount
from rapport.demo.recording.feed import Body, since
from rapport.demo.vendors.youtube.server import Comment, Video, YoutubeServer


def fill(server: YoutubeServer, account: DemoAccount, bodies: Sequence[Body], connected_at: datetime) -> None:
    """Makes the channel, its videos, and the comments below these."""
    channel = server.channel(str(account.platform_id))
    once = sorted({body["id"]: body for body in bodies}.values(), key=lambda body: str(body["occurred_at"]))
    videos = [Video(body["id"], channel, body["text"], "", _at(body)) for body in once if body["kind"] == "post"]
    told = [body for body in once if body["kind"] in ("comment", "reply") and since(body, connected_at)]
    answered = {body["parent"]["id"] for body in told if body["kind"] == "reply"}
    shown = [body for body in once if body in told or (body["kind"] == "comment" and body["id"] in answered)]
    server.remember([_comment(body, channel) for body in shown], videos)


def _comment(body: Body, channel: str) -> Comment:
    if body["kind"] == "reply":
        text, parent = body["text"], body["parent"]["id"]
        return Comment(body["id"], channel, text, _at(body), channel, body["post"], parent)
    who = body["actor"]
    return Comment(body["id"], who["id"], body["text"], _at(body), channel, body["post"], name=f"@{who['handle']}")


def _at(body: Body) -> datetime:
    return datetime.fromisoformat(body["occurred_at"])
