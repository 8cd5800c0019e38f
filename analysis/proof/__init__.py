"""Certificates, re-checked against the raw history by a program that trusts no checker.

What is claimed of orders stands here, of transactions in `transactions`, what is counted in
`analysis.recount`; they import nothing else of ours. docs/certificates.md has the format and every
rule.
"""
