"""Compose files: an existing docker-compose.yml read as a topology.

`document.py` reads the text, with what Compose adds to YAML (`variables.py`); `keys.py` says which
keys are understood; `shapes.py` reads their short and long forms; `services.py` one service;
`files.py` what it is lent of this host; `topology.py` makes a topology of all.
"""
