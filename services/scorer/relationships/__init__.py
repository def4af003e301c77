"""The relationships agent: what followers do in, the state of each relationship out."""
