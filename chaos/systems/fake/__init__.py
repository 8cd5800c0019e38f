"""A database in memory, for tests."""
