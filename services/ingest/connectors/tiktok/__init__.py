"""TikTok: comments, mentions and messages of business accounts, as TikTok's Business webhooks push them."""

PLATFORM = "tiktok"
"""TikTok's webhooks for business accounts."""
