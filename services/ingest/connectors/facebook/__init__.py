"""Facebook Pages: posts, comments, reactions, shares and messages, as Meta's webhooks push them."""

PLATFORM = "facebook"
