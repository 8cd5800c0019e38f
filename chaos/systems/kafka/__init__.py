"""Kafka 4."""
