"""Metrics of ingest. Labels name platforms, sources and reasons, never a person."""

from prometheus_client import Counter, Gauge, Histogram

ACCEPTED = Counter(
    "rapport_ingest_interactions_accepted_total", "Interactions acknowledged by the broker", ("platform", "kind")
)
REJECTED = Counter("rapport_ingest_interactions_rejected_total", "Interactions refused", ("platform", "reason"))
REQUESTS = Counter("rapport_ingest_requests_total", "Requests to the generic door by outcome", ("outcome",))
DELIVERIES = Counter("rapport_ingest_deliveries_total", "Webhook deliveries by outcome", ("platform", "outcome"))
LAG = Histogram(
    "rapport_ingest_lag_seconds",
    "Time between when it occurred and when we observed it",
    ("platform",),
    # A push arrives within seconds, a poll within minutes, a repaired gap within a day.
    buckets=(0.5, 1, 2, 5, 10, 30, 60, 300, 900, 3600, 21600, 86400),
)
UNACKNOWLEDGED = Counter(
    "rapport_ingest_produce_failures_total", "Batches that the broker did not acknowledge in time", ("reason",)
)
# A series that begins with its first failure cannot show that one: it has to be there before, as zero.
for _reason in ("overflow", "timeout", "refused"):
    UNACKNOWLEDGED.labels(_reason)
CONNECTED = Gauge(
    "rapport_ingest_connector_connected", "1 while the stream is connected, else 0", ("platform", "source")
)
FOLLOWED = Gauge("rapport_ingest_accounts_followed", "Accounts of a connected stream", ("platform", "source"))
STREAM_AT = Gauge(
    "rapport_ingest_stream_position_timestamp_seconds",
    "Time of the newest event read from the stream",
    ("platform", "source"),
)
ACCOUNTS = Gauge("rapport_ingest_accounts", "Accounts known from the brands topic", ("platform",))
LEASES = Gauge("rapport_ingest_leases", "Partitions of the accounts that this process reads")
COPY_BYTES = Gauge("rapport_ingest_copy_bytes", "Size of the file with all that is remembered of the accounts")
COPY_MISSING = Gauge(
    "rapport_ingest_copy_missing_records", "What this file still lacks after a start; until then, no account is read"
)
UNMOVED = Gauge(
    "rapport_ingest_ledger_unmoved", "Entries of an older version's ledger that are on this disk alone", ("platform",)
)
READINGS = Counter(
    "rapport_ingest_readings_total",
    "Times that an account was read to its end, or not, by why not",
    ("platform", "outcome"),
)
REPAIRED = Counter(
    "rapport_ingest_repaired_interactions_total",
    "Interactions that asking found and that the stream had not brought",
    ("platform",),
)
QUOTA = Gauge(
    "rapport_ingest_quota_left", "Units of a platform's daily quota that this process may spend", ("platform",)
)
SUBSCRIPTIONS = Gauge(
    "rapport_ingest_subscriptions", "Subscriptions of the application at a platform, as last listed", ("platform",)
)
ASKED = Counter("rapport_ingest_platform_requests_total", "Requests to a platform by outcome", ("platform", "outcome"))
ERRANDS = Counter(
    "rapport_ingest_errands_total", "Answers, hidings and likes by how they ended", ("platform", "deed", "outcome")
)
ERRANDS_WAITING = Gauge("rapport_ingest_errands_waiting", "Answers, hidings and likes that have not ended")
ERRANDS_OLDEST = Gauge("rapport_ingest_errands_oldest_seconds", "Since when the oldest of them waits")
STATES = Gauge("rapport_ingest_account_states", "Accounts that this process reads, by state", ("platform", "state"))
HIDDEN = Gauge("rapport_ingest_hidden_brands", "Brands that this version cannot read")
