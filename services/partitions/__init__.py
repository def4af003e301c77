"""More partitions for an installation that is running: see docs/partitions.md."""
