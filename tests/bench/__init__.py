"""Measurements: `python -m tests.bench [NAME …]`. Each `bench_NAME.py` has a `run()` that returns
rows {"what", "value", "unit", "goal"}; nothing is asserted, because the numbers are the machine's.
"""
