"""What the notifier counts."""

from prometheus_client import Counter, Gauge, Histogram

ALERTS = Counter("rapport_notifier_alerts_total", "Alerts taken from the log, by what became of them.", ["outcome"])
# A series that begins with its first dead letter cannot show that one: it has to be there before, as zero.
for _outcome in ("recorded", "waiting", "unheard", "dead"):
    ALERTS.labels(_outcome)
ATTEMPTS = Counter(
    "rapport_deliveries_total",
    "Attempts to deliver, by type of channel and how they ended: delivered, retried, failed, or lost to another owner.",
    ["channel_type", "status"],
)
LATENESS = Histogram(
    "rapport_delivery_lateness_seconds",
    "From when an alert was to be told (for a breach its due time, else the alert itself) until it was delivered.",
    ["channel_type"],
    buckets=(0.5, 1, 2, 5, 10, 30, 60, 120, 300, 900, 3600, 6 * 3600, 24 * 3600, 72 * 3600),
)
ALERT_LATENESS = Histogram(
    "rapport_alert_lateness_seconds",
    "From when a comment was due until its breach was in the log.",
    buckets=(0.5, 1, 2, 5, 10, 30, 60, 120, 300, 900, 3600, 6 * 3600, 24 * 3600),
)
OLDEST = Gauge(
    "rapport_deliveries_oldest_pending_timestamp_seconds",
    "When the delivery that has waited longest in the outbox was written; 0 if none waits.",
    ["channel_type"],
)
PENDING = Gauge("rapport_deliveries_pending", "Deliveries that wait in the outbox.", ["channel_type"])
