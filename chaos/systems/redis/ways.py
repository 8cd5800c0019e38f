"""How a client reaches the node that an operation is for: a way for each mode.

A way learns addresses as users' drivers do (from the nodes, from Sentinels, from the cluster's map
and its redirections), and goes to them through the links of the client's own zone. What it sends is
sent once; only after an answer that says that nothing was run (MOVED, ASK) does it go where that
answer points, once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from redis.exceptions import AskError, MovedError, RedisError

from chaos.systems._common import chosen_node, home_first
from chaos.systems._connections import first_that_serves
from chaos.systems.base import ClientSpec, NotConnected
from chaos.systems.redis.conf import MASTER_NAME, mode_of
from chaos.systems.redis.map import Known, nodes_of
from chaos.systems.redis.slots import slot_of
from chaos.systems.redis.wire import Wire, ask, ask_once, connect

FAILURES = (RedisError, NotConnected)  # of a node that is asked who has what


class Way:
    """Kept connections, one for each node, and which of them a key needs."""

    def __init__(self, spec: ClientSpec) -> None:
        self.node = ""  # that it spoke with last
        self._spec = spec
        self._name_at: Mapping[str, str] = {
            address: name for name, address in spec.settings["_addresses"].items()
        }
        self._kept: dict[str, Wire] = {}
        self._readers: dict[str, Wire] = {}

    def open(self) -> None:
        """Connect anew; NotConnected."""
        self.close()
        self._find()

    def _find(self) -> None:
        """Learn who has what; NotConnected."""
        raise NotImplementedError

    def _owner(self, key: str) -> str:
        """The node that takes writes of `key`; NotConnected if nobody says which it is."""
        raise NotImplementedError

    def ask(self, key: str, *command: str | int) -> Any:
        """One command, at the node that takes writes of `key`."""
        return self._at(self._owner(key), *command)

    def ask_again(self, *command: str | int) -> Any:
        """One more, over the connection that answered last."""
        return ask(self._kept[self.node], *command)

    def open_reader(self) -> None:
        """Connect to any node, the home node first; NotConnected."""
        self.close()
        self.node, _ = first_that_serves(
            home_first(self._spec), lambda node: self._connection(node, self._readers)
        )

    def ask_reader(self, key: str, at: int, *command: str | int) -> Any:
        """One reading command, at the node at place `at` of those that have `key`."""
        node = self._reader(key, at)
        connection = self._connection(node, self._readers)
        self.node = node
        return ask(connection, *command)

    def _reader(self, key: str, at: int) -> str:
        return chosen_node(self._spec, at)

    def _at(self, node: str, *command: str | int) -> Any:
        connection = self._connection(node, self._kept)
        self.node = node
        return ask(connection, *command)

    def _connection(self, node: str, kept: dict[str, Wire]) -> Wire:
        """The kept connection, or a new one that has answered: a proxy accepts for a server that is
        not there, too, and only then is it certain that nothing of an operation was sent."""
        if node not in kept:
            try:
                connection = connect(self._spec.endpoints[node]["db"], self._spec.timeout_s)
                try:
                    self._greet(node, connection, reads=kept is self._readers)
                except BaseException:
                    connection.disconnect()
                    raise
            except RedisError as error:
                raise NotConnected(f"connecting to {node}: {error}") from error
            kept[node] = connection
        return kept[node]

    def _greet(self, node: str, connection: Wire, *, reads: bool) -> None:
        """What a new connection begins with; NotConnected if it is not the one that is wanted."""
        ask(connection, "PING")

    def close(self) -> None:
        """Drop all connections; never raises."""
        for connections in (self._kept, self._readers):
            while connections:
                _, connection = connections.popitem()
                try:
                    connection.disconnect()
                except Exception:  # what is being dropped may be broken in any way
                    pass


class PrimaryWay(Way):
    """One primary: the first node, the home node before the others, that says it is one.

    So do drivers that are given several hosts. Where two say so, the near one is believed.
    """

    def _owner(self, key: str) -> str:
        if not self._kept:
            self._find()
        return next(iter(self._kept))

    def _find(self) -> None:
        _, self.node = first_that_serves(home_first(self._spec), self._primary, FAILURES)

    def _primary(self, asked: str) -> str:
        """The node that `asked` names as primary, connected to."""
        node = self._named_by(asked)
        self._connection(node, self._kept)
        return node

    def _greet(self, node: str, connection: Wire, *, reads: bool) -> None:
        if ask(connection, "ROLE")[0] != b"master" and not reads:
            raise NotConnected(f"no primary: {node} is a replica")

    def _named_by(self, asked: str) -> str:
        """The node that is primary as far as `asked` knows, unless it is a replica itself."""
        return asked


class SentinelWay(PrimaryWay):
    """The primary that a Sentinel names, the home node's asked first."""

    def _named_by(self, asked: str) -> str:
        answer = ask_once(
            self._spec.endpoints[asked]["sentinel"],
            self._spec.timeout_s,
            "SENTINEL",
            "GET-MASTER-ADDR-BY-NAME",
            MASTER_NAME,
        )
        node = self._name_at.get(answer[0].decode()) if answer else None
        if node is None:
            raise NotConnected(f"no primary: the Sentinel of {asked} knows none")
        return node


Slots = Sequence[tuple[int, int, Sequence[str]]]  # first, last, nodes: the primary first


class ClusterWay(Way):
    """The cluster's map, from the first node that gives one, the home node's before the others'.

    MOVED and ASK are followed once, since nothing was run before them; after MOVED the map is asked
    for anew by the next operation.
    """

    def __init__(self, spec: ClientSpec) -> None:
        super().__init__(spec)
        self._slots: Slots = ()

    def _find(self) -> None:
        _, self._slots = first_that_serves(home_first(self._spec), self._told_by, FAILURES)

    def _told_by(self, node: str) -> Slots:
        """The map as `node` has it."""
        try:
            answer = self._at(node, "CLUSTER", "NODES")
        except FAILURES:
            self.close()
            raise
        if slots := self._map(nodes_of(answer)):
            return slots
        raise NotConnected(f"no primary: {node} knows of no slots")

    def _map(self, nodes: Sequence[Known]) -> Slots:
        """Who has which slots. Lettuce reads the same; CLUSTER SLOTS leaves out replicas of which
        nobody has said yet how far they are, so that a new cluster would seem to have none."""
        found = []
        for primary in nodes:
            members = [primary, *(n for n in nodes if n.primary == primary.id)]
            names = [
                self._name_at[n.address]
                for n in members
                if n.address in self._name_at and (n is primary or "fail" not in n.flags)
            ]
            for part in primary.slots.split() if names else ():
                first, _, last = part.partition("-")
                found.append((int(first), int(last or first), names))
        return found

    def _members(self, key: str) -> Sequence[str]:
        if not self._slots:
            self._find()
        slot = slot_of(key)
        for first, last, nodes in self._slots:
            if first <= slot <= last:
                return nodes
        raise NotConnected(f"no primary: nobody has slot {slot}")

    def _owner(self, key: str) -> str:
        return self._members(key)[0]

    def ask(self, key: str, *command: str | int) -> Any:
        """One command, at the node that takes writes of `key`, or where that node points to."""
        try:
            return super().ask(key, *command)
        except AskError as error:  # MovedError is one
            node = self._name_at.get(error.host)
            moved = isinstance(error, MovedError)
            if moved:
                self._slots = ()
            if node is None:
                raise
        if not moved:
            self._at(node, "ASKING")
        return self._at(node, *command)

    def _greet(self, node: str, connection: Wire, *, reads: bool) -> None:
        ask(connection, "READONLY" if reads else "PING")  # else replicas send readers elsewhere

    def _reader(self, key: str, at: int) -> str:
        """Any node of the key's shard, the home node first."""
        home = self._spec.home
        nodes = sorted(self._members(key), key=lambda name: (name != home, name))
        return nodes[at % len(nodes)]

    def close(self) -> None:
        """Drop all connections, and the map."""
        super().close()
        self._slots = ()


_WAYS: Mapping[str, type[Way]] = {
    "replication": PrimaryWay,
    "sentinel": SentinelWay,
    "cluster": ClusterWay,
}


def way_of(spec: ClientSpec) -> Way:
    """The way of the topology's mode."""
    return _WAYS[mode_of(spec.settings)](spec)
