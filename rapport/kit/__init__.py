"""Plumbing that the services share. It knows nothing of the domain."""
