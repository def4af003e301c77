"""LinkedIn pages: comments, likes, shares and mentions, as LinkedIn's webhooks push them or as it is asked."""

from datetime import timedelta

from rapport.domain.retention import Limits
from services.ingest.connectors.capabilities import Capabilities

PLATFORM = "linkedin"
CAPABILITIES = Capabilities(
    "LinkedIn pages",
    "webhook, and asked with a token",
    {
        "comments": "yes",
        "mentions": "yes",
        "reactions": "where LinkedIn names who",
        "shares": "yes",
        "edits, deletions": "yes",
    },
    keeps=Limits(texts=timedelta(hours=48), profiles=timedelta(hours=24)),
)
