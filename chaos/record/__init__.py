"""The run directory: what a run leaves behind, and the only thing `analysis` reads.

This package is a leaf: it imports nothing else of `chaos` but `chaos.errors`.
"""
