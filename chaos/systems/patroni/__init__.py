"""Patroni 4 over PostgreSQL 17."""
