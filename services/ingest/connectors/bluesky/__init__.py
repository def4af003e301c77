"""Bluesky."""

PLATFORM = "bluesky"
