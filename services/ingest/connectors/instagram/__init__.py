"""Instagram: comments, mentions and messages of professional accounts, as Meta's webhooks push them."""

PLATFORM = "instagram"
