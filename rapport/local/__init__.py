"""A whole installation on one machine: Kafka, MongoDB and the services as processes, without Docker."""
