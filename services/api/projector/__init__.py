"""Writes the log into the views in MongoDB: decode, write idempotently, recount, commit."""
