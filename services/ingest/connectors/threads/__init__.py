"""Threads: replies, mentions, posts and deletions, as Meta's webhooks push them and as asking finds them."""

from services.ingest.connectors.capabilities import Capabilities

PLATFORM = "threads"
CAPABILITIES = Capabilities(
    "Threads",
    "webhook, and asked with a token",
    {
        "comments": "yes",
        "mentions": "yes",
        "edits, deletions": "the account's own deletions; hide and unhide",
    },
)
