"""LinkedIn pages: comments, likes, shares and mentions, as LinkedIn's webhooks push them."""

PLATFORM = "linkedin"
