"""Local-first peers: an Automerge document on every node."""
