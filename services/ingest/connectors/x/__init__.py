"""X: posts, replies, mentions, reposts, likes, follows, blocks and messages, as the X Activity API pushes them."""

PLATFORM = "x"
