"""What platforms call themselves."""

NAMES = {
    "bluesky": "Bluesky", "facebook": "Facebook", "instagram": "Instagram", "linkedin": "LinkedIn",
    "mastodon": "Mastodon", "threads": "Threads", "tiktok": "TikTok", "x": "X", "youtube": "YouTube",
}  # fmt: skip


def platform_name(platform: str) -> str:
    """A platform as people write it; one that is not known with a capital letter."""
    return NAMES.get(platform) or platform.capitalize()
