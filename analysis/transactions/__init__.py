"""Transactions: what they read, what depends on what, and which models of isolation that allows.

docs/transactions.md defines all that is decided here.
"""

import analysis.checkers  # noqa: F401  whichever is imported first: checkers import this package
