"""TikTok: comments, mentions and messages of business accounts, as TikTok's Business webhooks push them.

It is asked for comments as well.
"""

from services.ingest.connectors.capabilities import Capabilities

PLATFORM = "tiktok"
"""TikTok's webhooks for business accounts."""
CAPABILITIES = Capabilities(
    "TikTok business accounts",
    "webhook, and comments are asked for with a token",
    {
        "comments": "yes",
        "mentions": "yes",
        "messages": "yes, not from the EEA, Switzerland and the UK",
        "reactions": "on messages only",
        "edits, deletions": "deletions, hide and unhide",
    },
)
