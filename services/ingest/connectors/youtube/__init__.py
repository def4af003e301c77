"""YouTube: comments under a channel's videos and posts, polled page by page."""

from datetime import timedelta

from rapport.domain.retention import Limits
from services.ingest.connectors.capabilities import Capabilities

PLATFORM = "youtube"
"""YouTube's Data API v3."""
CAPABILITIES = Capabilities(
    "YouTube",
    "asked",
    {
        "comments": "yes, on videos and posts",
        "edits, deletions": "edits; deletions as hide and unhide, for a week",
    },
    keeps=Limits(texts=timedelta(days=30), profiles=timedelta(days=30)),
)
