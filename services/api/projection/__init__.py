"""From the log to the views in MongoDB: decode, write idempotently, recount, commit."""
