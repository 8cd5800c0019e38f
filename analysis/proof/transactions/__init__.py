"""Certificates of transactions, re-checked: of ours it imports `analysis.proof` and nothing else.

docs/transactions.md has what each model allows, docs/certificates.md every rule of a claim.
"""
