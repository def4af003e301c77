"""The demonstration's platforms: each account's part of the recording, told as the platform itself would tell it."""
