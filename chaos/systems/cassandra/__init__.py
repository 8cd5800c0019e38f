"""Cassandra 5.0."""
