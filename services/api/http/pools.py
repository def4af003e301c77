"""Thread pools for slow work, one for each purpose. Brands take turns in each."""

from rapport.kit.work import Pool

FILES = Pool("files")
"""Reading uploads."""
POLICIES = Pool("policies")
"""Checking policies, and previewing them on past exchanges."""
RULES = Pool("rules")
"""Previewing the rules of communities."""
DRAWS = Pool("draws", threads=1)
FIGURES = Pool("figures")
"""Figures from tens of thousands of posts."""
