"""X: posts, replies, mentions, reposts, likes, follows, blocks and messages, as the X Activity API pushes them."""

from services.ingest.connectors.capabilities import Capabilities

PLATFORM = "x"
CAPABILITIES = Capabilities(
    "X",
    "webhook, and sent again after a gap",
    {
        "comments": "yes",
        "mentions": "yes",
        "messages": "yes, without their text where encrypted",
        "reactions": "yes, not undone",
        "shares": "yes, not undone",
        "follows": "yes, and undone; blocks",
        "edits, deletions": "edits; the account's own deletions",
    },
)
