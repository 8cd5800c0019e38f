"""What the systems share: settings as data, and the rules for a client that reached nobody."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chaos.errors import AftershockError, ClusterError
from chaos.systems.base import (
    ClientSpec,
    Cluster,
    ErrorRule,
    Node,
    NotConnected,
    Observation,
    Reachable,
)
from chaos.units import parse_duration_ns

INTEGER = r"[0-9]{1,12}"
YES_NO = r"yes|no"
ON_OFF = r"on|off"
TRUE_FALSE = r"true|false"
DURATION = "duration"  # not a pattern: checked by chaos.units


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One key of a topology's `settings:`; `values` is a pattern for all of its text."""

    about: str  # one line for docs/systems/
    values: str
    default: str | None = None  # None: the database's own
    workloads: frozenset[str] = frozenset()  # of a client's option: those it is for; empty: all

    def problem(self, where: str, value: Any) -> str | None:
        """Why `value` cannot be meant at `where` (settings.fsync), or None."""
        if self.values == DURATION:
            try:
                parse_duration_ns(value)
            except AftershockError as error:
                return f"{where}: {error.what}"
            return None
        if re.fullmatch(self.values, text(value, self.values)):
            return None
        return f"{where}: expected a value matching {self.values}, got {text(value)!r}"


def text(value: Any, values: str = YES_NO) -> str:
    """A setting as the database's configuration spells it; a YAML truth value as its own words."""
    if isinstance(value, bool):
        words = next((w for w in (ON_OFF, TRUE_FALSE, YES_NO) if w in values), YES_NO)
        return words.split("|")[0 if value else 1]
    return str(value)


def resolve(settings: Mapping[str, Any], known: Mapping[str, Setting]) -> dict[str, str]:
    """Name → text for every setting that is given or has a default of ours."""
    return {
        name: text(settings[name], rule.values) if name in settings else str(rule.default)
        for name, rule in known.items()
        if name in settings or rule.default is not None
    }


def milliseconds(value: str) -> int:
    """A checked duration in whole milliseconds, at least 1."""
    return max(1, parse_duration_ns(value) // 1_000_000)


def unix_ns(text: str) -> int:
    """A time as Go writes it (RFC 3339, up to nine decimals) in ns since 1970."""
    match = re.fullmatch(r"([^.]{19})(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", text)
    if match is None:
        raise ValueError(f"expected a time, got {text[:60]!r}")
    whole = datetime.fromisoformat(match[1] + match[3].replace("Z", "+00:00"))
    return int(whole.timestamp()) * 10**9 + int((match[2] or ".0")[1:].ljust(9, "0"))


def problems(given: Mapping[str, Any], known: Mapping[str, Setting]) -> Iterable[str]:
    """A sentence for each setting whose value cannot be meant."""
    for name, value in given.items():
        if name in known and (found := known[name].problem(f"settings.{name}", value)):
            yield found


def option_problems(
    given: Mapping[str, Any], known: Mapping[str, Setting], workload: str
) -> Iterable[str]:
    """A sentence for each option of the client that cannot be meant, or not with this workload."""
    for name, value in given.items():
        if name not in known:
            continue
        if found := known[name].problem(f"client.{name}", value):
            yield found
        if known[name].workloads and workload not in known[name].workloads:
            meant = ", ".join(sorted(known[name].workloads))
            yield f"client.{name}: means nothing to the workload {workload}; it is for {meant}"


def home_first(spec: ClientSpec) -> list[str]:
    """The nodes in the order in which a client tries them: its home node, the others by name."""
    return sorted(spec.endpoints, key=lambda name: (name != spec.home, name))


def chosen_node(spec: ClientSpec, at: int) -> str:
    """The node at place `at` of `home_first`, modulo their number."""
    names = home_first(spec)
    return names[at % len(names)]


READS = Setting(
    about="where reads go: primary (default), home (the client's own node) or any (each read "
    "through a node drawn anew); writes go to the primary",
    values="primary|home|any",
    workloads=frozenset({"session"}),
)


FAILOVER = Setting(
    about="true: try the other nodes when the home node does not answer; default false",
    values=TRUE_FALSE,
)


def is_on(options: Mapping[str, Any], name: str, default: bool = False) -> bool:
    """Whether an option of the client, one that is true or false, is true."""
    return str(options.get(name, default)).lower() == "true"


def fails_over(spec: ClientSpec) -> bool:
    """Whether the client's option `failover` is true."""
    return is_on(spec.options, "failover")


def tried_nodes(spec: ClientSpec) -> list[str]:
    """The nodes a client without a primary may connect to, in turn: its home node, and with the
    option `failover: true` the others by name. One whose home node serves no clients has the first
    of those for its home."""
    return home_first(spec)[: None if fails_over(spec) else 1]


def node_of(cluster: Reachable, name: str) -> Node:
    """The node of that name, as the runtime placed it."""
    return next(node for node in cluster.nodes if node.name == name)


def address_of(cluster: Reachable, node: str) -> str:
    """The node's address in the test network."""
    return node_of(cluster, node).address


def primary_to_rejoin(node: str, others: Sequence[str]) -> str:
    """The one of `others`, which are primary besides `node`; ClusterError unless it is one."""
    if len(others) != 1:
        raise ClusterError(
            f"{node} can rejoin one primary, and {len(others)} of the other nodes are: "
            + (", ".join(others) or "none"),
            fix="promote one first",
        )
    return others[0]


def equals_problems(nodes: Sequence[Node], why: str) -> Iterable[str]:
    """A sentence for each thing wrong with the nodes of a system whose nodes have no roles: `why`
    they have none."""
    if not nodes:
        yield "there are no nodes; at least one is needed"
    for node in nodes:
        if node.role is not None:
            yield f"nodes.{node.name}.role: {why}"


def primary_of(nodes: Sequence[Node]) -> Node:
    """The node that starts as primary: the one with that role, else the first."""
    return next((node for node in nodes if node.role == "primary"), nodes[0])


def role_problems(nodes: Sequence[Node]) -> Iterable[str]:
    """A sentence for each thing wrong with the nodes of a system with one primary."""
    if not nodes:
        yield "there are no nodes; at least one is needed"
    primaries = [node.name for node in nodes if node.role == "primary"]
    if len(primaries) > 1:
        yield f"nodes {', '.join(primaries)} all have `role: primary`; expected one at most"
    for node in nodes:
        if node.role not in (None, "primary", "replica"):
            yield f"nodes.{node.name}.role: expected primary or replica, got {node.role!r}"


def late(error: Exception) -> bool:
    """Whether it says that nothing came in time, in whatever words."""
    return isinstance(error, TimeoutError) or "timed out" in str(error).lower()


def silence(error: Exception, *unsure: type[Exception]) -> Observation:
    """What to make of a node that gave this for an answer: `unknown` where none came in time, or
    where it is one of `unsure`; else nobody is there."""
    role = "unknown" if late(error) or isinstance(error, unsure) else "down"
    return Observation(role=role, note=str(error).strip()[:200] or type(error).__name__)


def operator_step(
    run: Callable[[Cluster, str], None], failures: tuple[type[Exception], ...]
) -> Callable[[Cluster, str], None]:
    """`run` with the driver's own errors (`failures`) said as a ClusterError."""

    @functools.wraps(run)
    def step(cluster: Cluster, node: str) -> None:
        try:
            run(cluster, node)
        except failures as error:
            name = run.__name__.lstrip("_")
            raise ClusterError(
                f"{name} {node} failed: {type(error).__name__}: {str(error).strip()[:300]}"
            ) from error

    return step


NOT_CONNECTED = (
    ErrorRule(
        code="no-primary",
        kind=NotConnected,
        pattern=r"no primary",
        definite=True,
        reason="no node that answered takes writes; of the operation nothing was sent",
    ),
    ErrorRule(
        code="connection-refused",
        kind=NotConnected,
        pattern=r"(?i)refused",
        definite=True,
        reason="no process listens there; of the operation nothing was sent",
    ),
    ErrorRule(
        code="connect-timeout",
        kind=NotConnected,
        pattern=r"(?i)timed? ?out",
        definite=True,
        reason="no connection was made in time; of the operation nothing was sent",
    ),
    ErrorRule(
        code="not-connected",
        kind=NotConnected,
        definite=True,
        reason="no usable node was reached; of the operation nothing was sent",
    ),
)


UNANSWERED = (
    ErrorRule(
        code="timeout",
        kind=TimeoutError,
        definite=False,
        reason="no answer in time; the operation may have happened, or may still happen",
    ),
    ErrorRule(
        code="connection-lost",
        kind=OSError,
        definite=False,
        reason="the connection ended before the answer; the operation may have happened",
    ),
)


def errors_table(errors: Sequence[ErrorRule]) -> str:
    """The ERRORS table as Markdown, for docs/systems/."""
    rows = ["| code | driver's error | text | outcome | why |", "|---|---|---|---|---|"]
    for rule in errors:
        pattern = f"`{rule.pattern}`".replace("|", "\\|") if rule.pattern else "any"
        outcome = "definite: fail" if rule.definite else "indefinite: info"
        rows.append(
            f"| `{rule.code}` | `{rule.kind.__name__}` | {pattern} | {outcome} | {rule.reason} |"
        )
    return "\n".join(rows) + "\n"


def pieces(size: int, longest: int) -> list[int]:
    """Sizes that come to `size`, none above `longest`: what is sent in one go is limited."""
    whole, rest = divmod(size, longest)
    return [longest] * whole + [rest] * (rest > 0)
