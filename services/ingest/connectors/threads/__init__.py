"""Threads: replies, mentions, posts and deletions, as Meta's webhooks push them."""

PLATFORM = "threads"
