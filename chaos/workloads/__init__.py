"""What clients do, and what their history can prove or refute; one file per workload."""
