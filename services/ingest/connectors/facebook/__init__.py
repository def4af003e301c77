"""Facebook Pages: posts, comments, reactions, shares and messages, as Meta's webhooks push
them and as asking finds them."""

from services.ingest.connectors.capabilities import Capabilities

PLATFORM = "facebook"
CAPABILITIES = Capabilities(
    "Facebook Pages",
    "webhook, and asked with a token",
    {
        "comments": "yes",
        "mentions": "yes",
        "messages": "yes",
        "reactions": "yes, and undone",
        "shares": "yes, and undone",
        "edits, deletions": "yes, hide and unhide too",
    },
)
