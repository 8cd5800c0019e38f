"""YAML files in, checked models out.

`load_topology`, `load_experiment` and `load_story` are in `chaos.spec.files`, `validate_files` is
in `chaos.spec.validate`. They are not imported here: a fault needs only `chaos.spec.experiment`.
"""
