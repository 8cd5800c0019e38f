"""MariaDB 11.8 with Galera 4."""
