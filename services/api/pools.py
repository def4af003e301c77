"""Where the API does what takes long: a pool for each purpose, in which every brand has its turn."""

from rapport.kit.work import Pool

FILES = Pool("files")
"""Reading what somebody uploads."""
POLICIES = Pool("policies")
"""Checking policies, and trying them on exchanges of the past."""
RULES = Pool("rules")
"""Trying the rules of communities on followers."""
DRAWS = Pool("draws", threads=1)
FIGURES = Pool("figures")
"""Of tens of thousands of posts."""
