"""RabbitMQ 4."""
