"""Which node a client connects to; and connections to several, for clients that move."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Generic, Protocol, TypeVar

from chaos.systems._common import chosen_node, home_first
from chaos.systems.base import ClientSpec, NotConnected


class _Closes(Protocol):
    def close(self) -> None: ...


C = TypeVar("C", bound=_Closes)
T = TypeVar("T")


def first_that_serves(
    nodes: Iterable[str],
    connect: Callable[[str], T],
    failures: tuple[type[Exception], ...] = (NotConnected,),
) -> tuple[str, T]:
    """The first of `nodes` where `connect` succeeds, and what it gives. Where it has one of
    `failures` at each: NotConnected with what each one said."""
    said = []
    for node in nodes:
        try:
            return node, connect(node)
        except failures as error:
            said.append(str(error))
    raise NotConnected("; ".join(said) or "no node to try")


class Connections(Generic[C]):
    """By node. `connect(node)` opens one; it may raise NotConnected."""

    def __init__(self, spec: ClientSpec, connect: Callable[[str], C]) -> None:
        self._spec = spec
        self._connect = connect
        self._open: dict[str, C] = {}

    def at(self, place: int) -> tuple[str, C]:
        """The node at this place (`chosen_node`), and the connection to it."""
        node = chosen_node(self._spec, place)
        return node, self._to(node)

    def first(self) -> str:
        """Connect to any node, home first; which it is. NotConnected with what each one said."""
        return first_that_serves(home_first(self._spec), self._to)[0]

    def _to(self, node: str) -> C:
        if node not in self._open:
            self._open[node] = self._connect(node)
        return self._open[node]

    def forget(self, node: str) -> C:
        """The connection to `node`, for the caller to end; the next use makes another."""
        return self._open.pop(node)

    def drop(self, node: str) -> None:
        """Close the connection to `node`; the next use makes another."""
        self.forget(node).close()

    def close(self) -> None:
        """Drop all of them."""
        connections, self._open = self._open, {}
        for connection in connections.values():
            connection.close()
