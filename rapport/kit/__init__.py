"""Plumbing that every service shares. Knows nothing of the domain."""
