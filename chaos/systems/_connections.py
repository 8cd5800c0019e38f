"""Which node a client connects to; connections to several, for clients that move; and one that is
kept, for who asks a node again and again."""

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


class Kept(Generic[C]):
    """One connection: made by who uses it first, dropped when that ends in an error."""

    def __init__(self, connect: Callable[[], C]) -> None:
        self._connect = connect
        self._open: C | None = None

    def __enter__(self) -> C:
        if self._open is None:
            self._open = self._connect()
        return self._open

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self.drop()

    def drop(self) -> None:
        """Close it, if it is open; the next use makes another."""
        connection, self._open = self._open, None
        if connection is not None:
            connection.close()
