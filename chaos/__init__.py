"""Aftershock's controller: specs, pods, clients, faults and the recording of runs."""

__version__ = "0.1.0"
