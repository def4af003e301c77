"""Which accounts this process reads, and what is remembered of them: a lease per partition of the cursors topic."""
