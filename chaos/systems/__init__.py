"""Databases we know how to run: one file each, and the contract in `base.py`."""
