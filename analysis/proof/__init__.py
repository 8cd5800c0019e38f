"""Certificates, re-checked against the raw history by a program that trusts no checker.

It imports nothing else of `analysis`; docs/certificates.md has the format and every rule.
"""
