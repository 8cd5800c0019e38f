"""PostgreSQL 17."""
