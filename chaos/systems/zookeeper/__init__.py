"""ZooKeeper 3.9."""
