"""Mastodon, and servers with its interface: GoToSocial, Pleroma, Akkoma, Iceshrimp, Sharkey, Friendica."""

from services.ingest.connectors.capabilities import Capabilities

PLATFORM = "mastodon"
CAPABILITIES = Capabilities(
    "Mastodon and compatible",
    "asked, and a stream",
    {
        "comments": "yes",
        "mentions": "yes",
        "messages": "yes",
        "reactions": "yes, not undone",
        "shares": "yes, not undone",
        "follows": "yes, not undone",
        "edits, deletions": "edits and deletions, while the stream is open",
    },
)
