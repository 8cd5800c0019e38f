"""Faults, one file per family. Each is available or not, injects, heals, and probes itself."""
