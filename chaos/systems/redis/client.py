"""The client of Redis and Valkey: what it does for each workload, and what its errors mean.

How it finds the node that an operation is for is `redis/ways.py`; its connections are
`redis/wire.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from redis.exceptions import (
    AskError,
    BusyLoadingError,
    ClusterCrossSlotError,
    ClusterDownError,
    ConnectionError,
    MasterDownError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TimeoutError,
    TryAgainError,
)

from chaos.record.op import Invocation, Result
from chaos.systems._common import NOT_CONNECTED
from chaos.systems.base import ClientSpec, Definite, ErrorRule, NotConnected
from chaos.systems.redis.conf import mode_of
from chaos.systems.redis.slots import key_in_each, shard_count, shard_of
from chaos.systems.redis.ways import way_of

SET_KEY = "elements"

# A script is atomic, so that nothing comes between the comparison and the write.
# "" stands for "no such key": every value is an integer, so nothing else can be "".
CAS = """
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
return 1
"""


class NotReplicated(Exception):
    """The primary has the write; that enough replicas have it was not said in time."""


# After these, who is primary is asked anew.
LEAVING = (ConnectionError, TimeoutError, ReadOnlyError, MasterDownError, ClusterDownError,
           NotConnected, NotReplicated)  # fmt: skip

ERRORS = (
    *NOT_CONNECTED,
    ErrorRule(
        code="not-replicated",
        kind=NotReplicated,
        definite=False,
        reason="the primary has run the write; WAIT was not told of enough replicas in time, and a "
        "failover may keep it or drop it",
    ),
    ErrorRule(
        code="read-only",
        kind=ReadOnlyError,
        definite=True,
        reason="the node is a replica now and refuses writes before running them",
    ),
    ErrorRule(
        code="loading",
        kind=BusyLoadingError,
        definite=True,
        reason="the node is loading its data and refuses commands before running them",
    ),
    ErrorRule(
        code="master-down",
        kind=MasterDownError,
        definite=True,
        reason="a replica without its master refuses the command before running it",
    ),
    ErrorRule(
        code="moved",
        kind=AskError,
        definite=True,
        reason="the node sends the client elsewhere, before running anything, for the second time "
        "in one operation",
    ),
    ErrorRule(
        code="cluster-down",
        kind=ClusterDownError,
        definite=True,
        reason="a node that hears no majority, or knows of a slot without a node, refuses commands "
        "before running them",
    ),
    ErrorRule(
        code="try-again",
        kind=TryAgainError,
        definite=True,
        reason="keys of one command are on two nodes while their slot moves; it was not run",
    ),
    ErrorRule(
        code="cross-slot",
        kind=ClusterCrossSlotError,
        definite=True,
        reason="keys of several slots are refused before the command runs",
    ),
    ErrorRule(
        code="out-of-memory",
        kind=OutOfMemoryError,
        definite=True,
        reason="over maxmemory a writing command is refused before it runs",
    ),
    ErrorRule(
        code="too-few-replicas",
        kind=ResponseError,
        pattern=r"^NOREPLICAS",
        definite=True,
        reason="min-replicas-to-write is checked before a write runs, and of a script before its "
        "first write only",
    ),
    ErrorRule(
        code="cannot-persist",
        kind=ResponseError,
        pattern=r"^MISCONF",
        definite=True,
        reason="after a failed save or AOF write, later writes are refused before they run",
    ),
    ErrorRule(
        code="busy-script",
        kind=ResponseError,
        pattern=r"^BUSY ",
        definite=True,
        reason="another script runs; the command was not begun",
    ),
    ErrorRule(
        code="unblocked",
        kind=ResponseError,
        pattern=r"^UNBLOCKED",
        definite=False,
        reason="the node was demoted while the command waited; what came before the wait has run",
    ),
    ErrorRule(
        code="too-many-clients",
        kind=ConnectionError,
        pattern=r"max number of clients",
        definite=True,
        reason="the node turned the connection away before reading from it",
    ),
    ErrorRule(
        code="timeout",
        kind=TimeoutError,
        definite=False,
        reason="no answer in time; the command may have run, or may still run",
    ),
    ErrorRule(
        code="connection-lost",
        kind=ConnectionError,
        definite=False,
        reason="the connection ended before the answer; the command may have run",
    ),
)


class RedisClient:
    """One process: finds the node an operation is for, and stays with it while it answers.

    It learns of a failover as most applications do: when its connection breaks, or a command is
    refused or sent elsewhere. With the option `wait: N` a write is done when `WAIT` says that N
    replicas have it, for which it takes half of the client's timeout.
    """

    def __init__(self, spec: ClientSpec) -> None:
        self._spec = spec
        self._way = way_of(spec)
        self._wait = int(spec.options.get("wait", 0))
        self._do: Mapping[str, Callable[[Invocation], Result]] = {}

    @property
    def node(self) -> str:
        """The node that it is connected to, or spoke with last."""
        return self._way.node

    def open(self) -> None:
        """Find out who is primary, and of what, asking the home node first."""
        self._way.open()

    def invoke(self, operation: Invocation) -> Result:
        """Do it once; broken or demoted connections are dropped, and made anew by the next call."""
        try:
            return self._do[operation.f](operation)
        except LEAVING:
            self.close()
            raise

    def close(self) -> None:
        """Drop all connections."""
        self._way.close()

    def _ask(self, key: str, *command: str | int) -> Any:
        """One command, at the node that has `key`."""
        return self._way.ask(key, *command)

    def _replicated(self) -> None:
        """After a write: wait, if so told, until replicas have it; NotReplicated if they do not.

        Whatever goes wrong here, the write has been done.
        """
        if not self._wait:
            return
        limit_ms = max(1, int(self._spec.timeout_s * 500))
        try:
            told = self._way.ask_again("WAIT", self._wait, limit_ms)
        except RedisError as error:
            raise NotReplicated(f"WAIT: {type(error).__name__}: {error}") from error
        if told < self._wait:
            raise NotReplicated(f"{told} of {self._wait} replicas within {limit_ms} ms")


class RegisterClient(RedisClient):
    """A register is a string key holding a decimal integer."""

    def __init__(self, spec: ClientSpec) -> None:
        super().__init__(spec)
        self._do = {"read": self._read, "write": self._write, "cas": self._cas}

    def _read(self, operation: Invocation) -> Result:
        key = str(operation.key)
        return Result(value=integer(self._ask(key, "GET", key)), node=self.node)

    def _write(self, operation: Invocation) -> Result:
        key = str(operation.key)
        self._ask(key, "SET", key, str(operation.value))
        self._replicated()
        return Result(value=operation.value, node=self.node)

    def _cas(self, operation: Invocation) -> Result:
        expected = "" if operation.expected is None else str(operation.expected)
        key, value = str(operation.key), str(operation.value)
        if self._ask(key, "EVAL", CAS, 1, key, expected, value) != 1:
            raise Definite("cas-mismatch", "the key holds another value")
        self._replicated()
        return Result(value=operation.value, node=self.node)


def integer(answer: bytes | None) -> int | None:
    """A value as GET answers; None: no such key."""
    return None if answer is None else int(answer)


class SetClient(RedisClient):
    """The set is one Redis set of decimal integers.

    In a cluster it is one in each shard, with an element where a key of its name would be; a read
    is one SMEMBERS after the other, and so no snapshot.
    """

    def __init__(self, spec: ClientSpec) -> None:
        super().__init__(spec)
        self._do = {"add": self._add, "read": self._read}
        sharded = mode_of(spec.settings) == "cluster"
        self._keys = key_in_each(SET_KEY, shard_count(spec.settings)) if sharded else [SET_KEY]

    def _add(self, operation: Invocation) -> Result:
        key = self._keys[shard_of(str(operation.value), len(self._keys))]
        self._ask(key, "SADD", key, str(operation.value))
        self._replicated()
        return Result(value=operation.value, node=self.node)

    def _read(self, operation: Invocation) -> Result:
        found = (member for key in self._keys for member in self._ask(key, "SMEMBERS", key))
        members = sorted(int(member) for member in found)
        return Result(payload="[" + ",".join(map(str, members)) + "]", node=self.node)
