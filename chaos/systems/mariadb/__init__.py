"""MariaDB 11.8, a primary and replicas."""
