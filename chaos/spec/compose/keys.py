"""Which keys of a Compose file are understood, and why the others are not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from chaos.registry import did_you_mean
from chaos.spec.compose.document import Reader
from chaos.spec.load import Value
from chaos.units import shown

TOP = ("name", "version", "services", "volumes", "networks", "secrets", "configs", "x-chaos")
TOP_REFUSED = {
    "include": "write its services into this file",
    "models": "a model of somebody else's is no container that could be broken",
}

UNDERSTOOD = (
    "build", "cap_drop", "command", "configs", "container_name", "cpus", "depends_on", "deploy",
    "entrypoint", "env_file", "environment", "expose", "group_add", "healthcheck", "hostname",
    "image", "labels", "links", "mem_limit", "networks", "pids_limit", "ports", "profiles",
    "read_only", "restart", "scale", "secrets", "security_opt", "shm_size", "stop_signal", "tmpfs",
    "ulimits", "user", "volumes", "working_dir", "x-chaos",
)  # fmt: skip

# Left out, and said: nothing that a fault would meet depends on them.
HARMLESS = {
    "annotations": "containers carry Aftershock's labels only",
    "attach": "`aftershock logs` shows what a service writes",
    "develop": "nothing is watched or rebuilt while a topology runs",
    "init": "the pod's agent is the first process, and reaps what is left of others",
    "logging": "the engine keeps the last 20 MB, and a run keeps them with it",
    "mem_reservation": "memory is limited, not reserved",
    "mem_swappiness": "memory is limited, not tuned",
    "memswap_limit": "memory is limited without swap",
    "oom_score_adj": "the kernel chooses",
    "platform": "images run on the engine's own platform",
    "pull_policy": "an image that is there is used; one that is not is pulled",
    "stdin_open": "nobody types",
    "stop_grace_period": "an orderly restart waits ten seconds",
    "tty": "nobody types",
}

_PRIVILEGE = "a node has no added privilege, so that nothing it does leaves its pod"
_NAMESPACE = "a node has namespaces of its own, in which faults act"
_NAMES = "names of services resolve, and no others"
REFUSED = {
    "blkio_config": "faults on disks set the engine's limits themselves",
    "cap_add": _PRIVILEGE,
    "cgroup": _NAMESPACE,
    "cgroup_parent": _NAMESPACE,
    "cpu_count": "write `cpus:`",
    "cpu_percent": "write `cpus:`",
    "cpu_period": "write `cpus:`",
    "cpu_quota": "write `cpus:`",
    "cpu_rt_period": _PRIVILEGE,
    "cpu_rt_runtime": _PRIVILEGE,
    "cpu_shares": "write `cpus:`",
    "cpuset": "write `cpus:`",
    "credential_spec": "there is nobody who would check them",
    "device_cgroup_rules": _PRIVILEGE,
    "devices": _PRIVILEGE,
    "dns": _NAMES,
    "dns_opt": _NAMES,
    "dns_search": _NAMES,
    "domainname": _NAMES,
    "extends": "write the keys out; YAML's own `&name`, `*name` and `<<` work",
    "external_links": _NAMES,
    "extra_hosts": _NAMES,
    "gpus": _PRIVILEGE,
    "ipc": _NAMESPACE,
    "isolation": _NAMESPACE,
    "label_file": "write `labels:`",
    "mac_address": "the engine chooses it",
    "models": "a model of somebody else's is no container that could be broken",
    "network_mode": "a node has a network of its own, in which faults act",
    "oom_kill_disable": "memory faults need the kernel to kill",
    "pid": _NAMESPACE,
    "post_start": "write the command into the image's own start",
    "pre_stop": "faults do not ask before they stop a service",
    "privileged": _PRIVILEGE,
    "provider": "what another tool provides cannot be broken from here",
    "runtime": "the engine's own runtime is used",
    "storage_opt": "write `disk:` into x-chaos for a disk of limited size",
    "sysctls": "the network namespace is the pod's agent's",
    "use_api_socket": _PRIVILEGE,
    "userns_mode": _NAMESPACE,
    "uts": _NAMESPACE,
    "volumes_from": "name the volume in both services",
}

DEPLOY = ("replicas", "resources")
DEPLOY_HARMLESS = (
    "endpoint_mode", "labels", "mode", "placement", "restart_policy", "rollback_config",
    "update_config",
)  # fmt: skip

BUILD = ("args", "context", "dockerfile", "dockerfile_inline", "target")
BUILD_HARMLESS = (
    "cache_from", "cache_to", "labels", "network", "no_cache", "platforms", "provenance", "pull",
    "sbom", "shm_size", "tags", "ulimits",
)  # fmt: skip
BUILD_REFUSED = dict.fromkeys(
    ("additional_contexts", "entitlements", "extra_hosts", "isolation", "privileged", "secrets",
     "ssh"),
    "the engine's plain builder is used; build the image yourself and write `image:`",
)  # fmt: skip


def check_keys(
    reader: Reader,
    at: Mapping[str, Value],
    what: str,
    understood: Iterable[str],
    refused: Mapping[str, str],
    harmless: Mapping[str, str],
    without: Iterable[str] = (),
) -> None:
    """Say of each key in `at` that is not understood why; `without`: those that a user lets go."""
    known = tuple(understood)
    for name, value in at.items():
        if name in known or name.startswith("x-"):
            continue
        if name in harmless:
            if value.data is not None and value.data is not False:
                reader.note(value, f"`{name}` is left out: {harmless[name]}")
        elif name in refused:
            if value.data is None or value.data is False:
                continue  # `privileged: false` asks for nothing
            if name in without:
                reader.note(value, f"`{name}` is left out, as `without:` says")
            else:
                fix = f"leave it out, or write `x-chaos: {{without: [{name}]}}` to run without it"
                reader.wrong(value, f"`{name}` is not supported: {refused[name]}", fix, key=True)
        else:
            every = [*known, *refused, *harmless]
            message = f"unknown key {shown(name)} of {what}"
            fix = did_you_mean(name, every) or f"expected one of {', '.join(known)}"
            reader.wrong(value, message, fix, key=True)
