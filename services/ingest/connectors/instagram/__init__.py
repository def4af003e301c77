"""Instagram: comments, mentions and messages of professional accounts, as Meta's webhooks push
them and as asking finds them."""

from services.ingest.connectors.capabilities import Capabilities

PLATFORM = "instagram"
CAPABILITIES = Capabilities(
    "Instagram",
    "webhook, and asked with a token",
    {
        "comments": "yes, on ads and live too",
        "mentions": "yes",
        "messages": "yes",
        "reactions": "on messages only",
        "edits, deletions": "of messages only; hide and unhide",
    },
)
