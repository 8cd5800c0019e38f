"""Reads a run directory and says what broke; never touches a container.

Imports `chaos.record` and `chaos.errors` only, so that a copied run can be judged anywhere.
"""
