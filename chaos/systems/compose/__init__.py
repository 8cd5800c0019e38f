"""Software that we do not know, as a Compose file describes it: services are nodes."""
