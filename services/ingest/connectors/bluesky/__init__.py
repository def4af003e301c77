"""Bluesky."""

from services.ingest.connectors.capabilities import Capabilities

PLATFORM = "bluesky"
CAPABILITIES = Capabilities(
    "Bluesky",
    "stream, [no app needed](connect.md#bluesky)",
    {
        "comments": "yes",
        "mentions": "yes",
        "reactions": "yes, and undone",
        "shares": "yes, and undone",
        "follows": "yes, and undone; blocks",
        "edits, deletions": "yes, hide and unhide too",
    },
)
