"""What the notifier counts."""

from prometheus_client import Counter, Gauge, Histogram

ALERTS = Counter("rapport_notifier_alerts_total", "Alerts taken from the log, by what became of them.", ["outcome"])
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
PENDING = Gauge("rapport_deliveries_pending", "Deliveries that wait in the outbox.", ["channel_type"])
