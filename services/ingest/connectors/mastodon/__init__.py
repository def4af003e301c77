"""Mastodon, and servers with its interface: GoToSocial, Pleroma, Akkoma."""

PLATFORM = "mastodon"
