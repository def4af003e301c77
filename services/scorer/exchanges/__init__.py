"""The exchanges agent: comments and answers in, exchanges and alerts out."""
