"""Isolation probes: ten classic interleavings, played on a live SQL database at each level."""
