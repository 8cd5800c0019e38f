"""Redis 8 and Valkey 8: replication, Sentinel, Cluster."""
