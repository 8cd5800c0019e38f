"""The definitions of the counted properties once more, independent of the checkers.

`counted.py` has what an anomaly of them is and which figures mean valid (docs/certificates.md has
each in words). The verifier asks it; of ours it imports `analysis.proof.rows` and nothing else.
"""
