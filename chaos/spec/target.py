"""Whom a fault or an operator's step is meant for, resolved when it is injected.

A target is a node's name, a place (`zone:NAME`, `region:NAME`, `provider:NAME`), a group
(`group:NAME`), a role (`primary`, `replica`), or a choice (`one`, `all`, `majority`, `minority`,
`random(N)`); with `GROUP/` in front, among the nodes of that group only. Roles are what the nodes
claim at that moment, so `primary` may be two nodes. Choices are drawn from the run's seed.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Protocol, TypeVar

from chaos.errors import FaultError
from chaos.units import shown

ROLES = ("primary", "replica")
CHOICES = ("one", "all", "majority", "minority")
WORDS = (*ROLES, *CHOICES)

_NAME = r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?"
_ZONE = r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}"
PLACES = ("zone", "region", "provider")
BY_PLACE = (*PLACES, "group")  # kinds of targets that are written KIND:NAME
_PLACE = rf"({'|'.join(BY_PLACE)}):({_ZONE})"
_RANDOM = r"random\(([1-9][0-9]{0,2})\)"
_TARGET = rf"(?:{_NAME}/)?(?:{_NAME}|{_PLACE}|{_RANDOM})"


class TargetError(ValueError):
    """The text is no target; `fix` may say what to write."""

    def __init__(self, what: str, fix: str = "") -> None:
        super().__init__(what)
        self.fix = fix


class Placed(Protocol):
    """A node as a target needs it."""

    @property
    def name(self) -> str:
        """Its name in the topology."""

    @property
    def zone(self) -> str:
        """The zone it is in."""

    @property
    def region(self) -> str:
        """The region that zone is in."""

    @property
    def provider(self) -> str | None:
        """Whose region it is, if the topology says so."""

    @property
    def group(self) -> str:
        """The topology's group it belongs to; "" where there are none."""


P = TypeVar("P", bound=Placed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A parsed target. `kind` is node, zone, region, provider, group, role,
    choice or random; `str()` gives the YAML."""

    PATTERN: ClassVar[str] = rf"^({_TARGET})$"

    kind: str
    name: str  # the node, place, role or choice; "" for random
    count: int = 0  # random only: how many nodes
    group: str = ""  # only nodes of this group are meant; "": of all

    @classmethod
    def parse(cls, text: object) -> Target:
        """Read a target; TargetError (a ValueError) says what was expected."""
        if isinstance(text, Target):
            return text
        if isinstance(text, str):
            if match := re.fullmatch(rf"({_NAME})/([^/]+)", text):
                return replace(cls.parse(match[2]), group=match[1])
            if text in ROLES:
                return cls(kind="role", name=text)
            if text in CHOICES:
                return cls(kind="choice", name=text)
            if match := re.fullmatch(_RANDOM, text):
                return cls(kind="random", name="", count=int(match[1]))
            if match := re.fullmatch(_PLACE, text):
                return cls(kind=match[1], name=match[2])
            if re.fullmatch(_NAME, text):
                return cls(kind="node", name=text)
        fix = "write random(1)" if text == "random" else ""
        if isinstance(text, str) and re.fullmatch(_NAME, text.lower()):
            fix = f"write {text.lower()}"
        raise TargetError(
            "expected a node's name, zone:NAME, region:NAME, provider:NAME, group:NAME, primary,"
            " replica, one, all, majority, minority or random(N), or GROUP/ and one of these,"
            f" got {shown(text)}",
            fix,
        )

    def __str__(self) -> str:
        name = f"random({self.count})" if self.kind == "random" else self.name
        if self.kind in BY_PLACE:
            name = f"{self.kind}:{self.name}"
        return f"{self.group}/{name}" if self.group else name

    def resolve(
        self, nodes: Sequence[Placed], roles: Mapping[str, str], rng: random.Random
    ) -> list[str]:
        """Names of the nodes meant, in the order of `nodes`; never empty.

        `roles` maps each node to the role it claims now. FaultError, with the reason, if no node
        matches. Only `one`, `majority`, `minority` and `random(N)` draw from `rng`.
        """
        nodes = self.among(nodes)
        every = [node.name for node in nodes]
        if self.kind == "node":
            found = [name for name in every if name == self.name]
        elif self.kind in BY_PLACE:
            found = [node.name for node in nodes if getattr(node, self.kind) == self.name]
        elif self.kind == "role":
            found = [name for name in every if roles.get(name) == self.name]
        else:
            found = self._choose(every, rng)
        if not found:
            claims = ", ".join(f"{name}: {roles.get(name, 'unknown')}" for name in every)
            raise FaultError(
                f"no node matches the target `{self}`",
                fix="" if self.kind != "role" else "delay the fault until a node has that role",
                detail=f"nodes and the roles they claim: {claims or 'none'}",
            )
        return found

    def among(self, nodes: Sequence[P]) -> Sequence[P]:
        """Those of `nodes` that are looked at: of its group, if it names one."""
        return [node for node in nodes if node.group == self.group] if self.group else nodes

    def most(self, nodes: int) -> int:
        """How many of `nodes` nodes a choice takes; all of them for a name, zone or role."""
        return {
            "one": 1,
            "majority": nodes // 2 + 1,
            "minority": (nodes - 1) // 2,
        }.get(self.name, self.count or nodes)

    def _choose(self, every: Sequence[str], rng: random.Random) -> list[str]:
        wanted = self.most(len(every))
        if self.kind == "choice" and self.name == "all":
            return list(every)
        if wanted > len(every) or wanted < 1:
            return []
        chosen = set(rng.sample(every, wanted))
        return [name for name in every if name in chosen]


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """A member of one side of a partition: a target, or the clients that live in a zone."""

    PATTERN: ClassVar[str] = rf"^({_TARGET}|clients@{_ZONE})$"

    target: Target | None = None
    clients_zone: str | None = None

    @classmethod
    def parse(cls, text: object) -> Side:
        """Read a target or `clients@ZONE`; TargetError (a ValueError) says what was expected."""
        if isinstance(text, Side):
            return text
        if isinstance(text, str) and re.fullmatch(rf"clients@{_ZONE}", text):
            return cls(clients_zone=text.removeprefix("clients@"))
        try:
            return cls(target=Target.parse(text))
        except TargetError as error:
            raise TargetError(f"{error}; clients@ZONE names clients", error.fix) from None

    def __str__(self) -> str:
        return f"clients@{self.clients_zone}" if self.clients_zone else str(self.target)
