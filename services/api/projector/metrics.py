"""Metrics of the projector."""

from prometheus_client import Counter, Gauge, Histogram

FRESHNESS = Histogram(
    "rapport_projector_freshness_seconds",
    "From an interaction's receipt (observed_at) to the views.",
    buckets=(0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 30, 60, 300, 3600),
)
BATCH = Histogram(
    "rapport_projector_batch_records",
    "Records per poll.",
    buckets=(1, 5, 20, 50, 100, 200, 500, 1000, 2000),
)
RECORDS = Counter("rapport_projector_records_total", "Records read and written to the views.", ["topic"])
LAG = Gauge("rapport_projector_lag_records", "Records of a partition that are not read yet.", ["topic", "partition"])
DEAD_LETTERS = Counter("rapport_projector_dead_letters_total", "Records sent to the dead letters.", ["topic"])
HALTED = Gauge("rapport_projector_halted_partitions", "Partitions that wait at a record that this version cannot read.")
RECOUNT = Histogram(
    "rapport_projector_recount_seconds",
    "How long recounting the changed hours took.",
    buckets=(0.005, 0.02, 0.05, 0.1, 0.3, 1, 3, 10),
)
