"""Errands: what the brand's people want done on a platform, done once by whoever has the lease of its accounts."""
