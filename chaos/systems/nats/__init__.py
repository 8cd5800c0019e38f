"""NATS 2.10 with JetStream."""
