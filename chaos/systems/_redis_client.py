"""The Redis client: redis-py's bare connection, found through Sentinel, and what its errors mean.

Off, because each would try again behind the history's back: redis-py's `Retry` (three attempts by
default), `retry_on_timeout`, `retry_on_error`, health checks (they reconnect), maintenance
notifications (they move connections and relax timeouts), the pool. `CLIENT SETINFO` is off as well:
it costs two round trips a connection.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from redis.backoff import NoBackoff
from redis.connection import Connection
from redis.exceptions import (
    BusyLoadingError,
    ConnectionError,
    MasterDownError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TimeoutError,
)
from redis.retry import Retry

from chaos.record.op import Invocation, Result
from chaos.systems._common import NOT_CONNECTED
from chaos.systems.base import Address, ClientSpec, Definite, ErrorRule, NotConnected

Wire = Any  # redis.connection.Connection, whose methods carry no types
_open: Any = Connection

MASTER_NAME = "aftershock"
SET_KEY = "elements"

# A script is atomic, so that nothing comes between the comparison and the write.
# "" stands for "no such key": every value is an integer, so nothing else can be "".
CAS = """
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
return 1
"""

ERRORS = (
    *NOT_CONNECTED,
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


def connect(address: Address, timeout_s: float) -> Wire:
    """An open connection that never tries anything twice; ConnectionError or TimeoutError."""
    connection = _open(
        host=address[0],
        port=address[1],
        protocol=2,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=0,
        driver_info=None,
    )
    connection.connect()
    return connection


def ask(connection: Wire, *command: str | int) -> Any:
    """One command and its answer; raises redis-py's errors."""
    connection.send_command(*command)
    return connection.read_response()


def ask_once(address: Address, timeout_s: float, *command: str | int) -> Any:
    """One command over a connection of its own."""
    connection = connect(address, timeout_s)
    try:
        return ask(connection, *command)
    finally:
        connection.disconnect()


class RedisClient:
    """One process: asks the Sentinels who is master when it connects, and then stays there.

    It learns of a failover as most applications do: when its connection breaks or a write is
    refused as read-only. Then it connects anew, before anything of the next operation is sent.
    """

    def __init__(self, spec: ClientSpec) -> None:
        self._spec = spec
        self._name_at: Mapping[str, str] = {
            address: name for name, address in spec.settings["_addresses"].items()
        }
        self.node = ""
        self._connection: Wire | None = None
        self._do: Mapping[str, Callable[[Wire, Invocation], Result]] = {}

    def open(self) -> None:
        """Ask the Sentinels, the home node's first, and connect to the master they name."""
        self.close()
        self._connect()

    def _connect(self) -> None:
        home = self._spec.home
        last = "no primary: no Sentinel answered"
        for node in sorted(self._spec.endpoints, key=lambda name: (name != home, name)):
            try:
                master = self._master_by(node)
                if master is None:
                    last = f"no primary: the Sentinel of {node} knows none"
                    continue
                self._connect_to(master)
                return
            except (RedisError, NotConnected) as error:
                last = str(error)
        raise NotConnected(last)

    def _master_by(self, node: str) -> str | None:
        answer = ask_once(
            self._spec.endpoints[node]["sentinel"],
            self._spec.timeout_s,
            "SENTINEL",
            "GET-MASTER-ADDR-BY-NAME",
            MASTER_NAME,
        )
        return self._name_at.get(answer[0].decode()) if answer else None

    def _connect_to(self, node: str) -> None:
        connection = connect(self._spec.endpoints[node]["db"], self._spec.timeout_s)
        try:
            role = ask(connection, "ROLE")[0]
        except BaseException:
            connection.disconnect()
            raise
        if role != b"master":
            connection.disconnect()
            raise NotConnected(f"no primary: the Sentinels name {node}, which is a replica")
        self.node, self._connection = node, connection

    def invoke(self, operation: Invocation) -> Result:
        """Do it once; a broken or demoted connection is dropped, and made anew by the next call."""
        if self._connection is None:
            self._connect()
        assert self._connection is not None
        try:
            return self._do[operation.f](self._connection, operation)
        except (ConnectionError, TimeoutError, ReadOnlyError, MasterDownError):
            self.close()
            raise

    def close(self) -> None:
        """Drop the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.disconnect()
            except Exception:  # what is being dropped may be broken in any way
                pass


class RegisterClient(RedisClient):
    """A register is a string key holding a decimal integer."""

    def __init__(self, spec: ClientSpec) -> None:
        super().__init__(spec)
        self._do = {"read": self._read, "write": self._write, "cas": self._cas}

    def _read(self, connection: Wire, operation: Invocation) -> Result:
        value = ask(connection, "GET", str(operation.key))
        return Result(value=None if value is None else int(value), node=self.node)

    def _write(self, connection: Wire, operation: Invocation) -> Result:
        ask(connection, "SET", str(operation.key), str(operation.value))
        return Result(value=operation.value, node=self.node)

    def _cas(self, connection: Wire, operation: Invocation) -> Result:
        expected = "" if operation.expected is None else str(operation.expected)
        key, value = str(operation.key), str(operation.value)
        if ask(connection, "EVAL", CAS, 1, key, expected, value) != 1:
            raise Definite("cas-mismatch", "the key holds another value")
        return Result(value=operation.value, node=self.node)


class SetClient(RedisClient):
    """The set is one Redis set of decimal integers."""

    def __init__(self, spec: ClientSpec) -> None:
        super().__init__(spec)
        self._do = {"add": self._add, "read": self._read}

    def _add(self, connection: Wire, operation: Invocation) -> Result:
        ask(connection, "SADD", SET_KEY, str(operation.value))
        return Result(value=operation.value, node=self.node)

    def _read(self, connection: Wire, operation: Invocation) -> Result:
        members = sorted(int(member) for member in ask(connection, "SMEMBERS", SET_KEY))
        return Result(payload="[" + ",".join(map(str, members)) + "]", node=self.node)
