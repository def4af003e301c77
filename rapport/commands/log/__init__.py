"""Commands about what Kafka and MongoDB hold."""
