"""A Mastodon server on this machine."""
