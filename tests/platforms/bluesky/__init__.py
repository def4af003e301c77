"""Bluesky's own server software on this machine, and people who use it: what the tests of its connector run against."""
