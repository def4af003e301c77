"""Tells people outside: alerts from Kafka become rows of an outbox, and rows become mails and webhooks."""
