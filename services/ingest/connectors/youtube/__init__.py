"""YouTube: comments under a channel's videos and posts, polled page by page."""

PLATFORM = "youtube"
"""YouTube's Data API v3."""
