"""A YouTube on this machine: channels with their videos, and comments below these."""
