"""A connection to MariaDB: pymysql's, with one deadline a statement.

pymysql's own time-outs hold for each `recv`, so that an answer that trickles takes as long as it
likes, and `max_statement_time` is the server's: it says nothing when the server cannot be reached.
So the connection is pymysql's with its reads and writes under a deadline of ours. When that has
passed the connection is of no more use, and is closed; what was begun goes on in the server.

pymysql tries nothing twice by itself. Off or unused, because each would act behind the history's
back: `ping(reconnect=True)`, option files (`read_default_file`), TLS by preference, local infile,
several statements in one request. Autocommit is on: each statement is its own transaction unless
one was begun. Rows changed are those found (`FOUND_ROWS`), or a row that is set to what it holds
already would count as not there.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pymysql.connections import Connection
from pymysql.constants import CLIENT, COMMAND, CR
from pymysql.err import MySQLError, OperationalError

from chaos.systems.base import Address, NotConnected

USER = "aftershock"  # may read and write our tables; on a read-only node, only read
OPERATOR = "operator"  # may do everything, on a read-only node as well
DATABASE = "aftershock"
CHUNK_BYTES = 1 << 16


class NoAnswer(Exception):
    """Our own deadline passed before the answer."""


FAILURES = (MySQLError, NoAnswer, NotConnected)


def code_of(error: BaseException) -> int:
    """The server's or the driver's number of an error; 0 if it has none."""
    found = error.args[0] if isinstance(error, MySQLError) and error.args else 0
    return found if isinstance(found, int) else 0


if TYPE_CHECKING:
    _Connection = Connection[Any]
else:
    _Connection = Connection


class _Wire(_Connection):
    """pymysql's connection, with one deadline over all that it reads and writes."""

    # Of pymysql's, what its type stubs leave out.
    _sock: socket.socket | None
    _result: Any
    server_thread_id: tuple[int]
    _force_close: Callable[[], None]
    _execute_command: Callable[[int, str], None]
    _read_query_result: Callable[[], int]

    def __init__(self, timeout_s: float, **given: Any) -> None:
        self._held = bytearray()
        self.deadline = time.monotonic() + timeout_s
        super().__init__(connect_timeout=timeout_s, **given)

    @property
    def heard(self) -> bool:
        """Whether something came that was not read yet."""
        return bool(self._held)

    def set_character_set(self, charset: str, collation: str | None = None) -> None:
        """Nothing: the login has said it. pymysql says it again, which is a round trip more, for
        servers that choose another collation."""

    def _ready(self) -> socket.socket:
        left_s = self.deadline - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        assert self._sock is not None
        self._sock.settimeout(left_s)
        return self._sock

    def _read_bytes(self, num_bytes: int) -> bytes:
        try:
            while len(self._held) < num_bytes:
                if not (data := self._ready().recv(CHUNK_BYTES)):
                    raise ConnectionError("closed by the server")
                self._held += data
        except TimeoutError as error:
            self._force_close()
            raise NoAnswer("no answer in time") from error
        except OSError as error:
            self._force_close()
            raise OperationalError(CR.CR_SERVER_LOST, f"connection lost: {error}") from error
        found = bytes(self._held[:num_bytes])
        del self._held[:num_bytes]
        return found

    def _write_bytes(self, data: bytes) -> None:
        try:
            self._ready().sendall(data)
        except TimeoutError as error:
            self._force_close()
            raise NoAnswer("not sent in time") from error
        except OSError as error:
            self._force_close()
            raise OperationalError(CR.CR_SERVER_GONE_ERROR, f"gone away: {error}") from error


@dataclass(frozen=True, slots=True)
class Answer:
    """What a statement was answered with."""

    names: Sequence[str]  # of the columns
    rows: Sequence[Sequence[Any]]  # integers, texts and None
    changed: int  # rows inserted, or found by an update; two for a row that an insert updated

    @property
    def value(self) -> Any:
        """The first column of the first row; None where there is none."""
        return self.rows[0][0] if self.rows else None


class Session:
    """One connection. `timeout_s` bounds connecting and, separately, every statement."""

    def __init__(
        self, address: Address, timeout_s: float, user: str = USER, database: str = DATABASE
    ) -> None:
        """NotConnected when there is none: of what is to come, nothing was sent."""
        self.timeout_s = timeout_s
        self._wire = _Wire(
            timeout_s,
            host=address[0],
            port=address[1],
            user=user,
            database=database,
            charset="utf8mb4",
            client_flag=CLIENT.FOUND_ROWS,
            ssl_disabled=True,
            autocommit=True,
            program_name="aftershock",
            defer_connect=True,
        )
        try:
            self._wire.connect()
        except NoAnswer as error:
            where = f"{address[0]}:{address[1]}"
            text = f"connecting to {where} timed out after {timeout_s:g} s"
            raise NotConnected(text) from error
        except Exception as error:  # what is no MariaDB may break the driver in any way
            raise NotConnected(str(error) or type(error).__name__) from error

    @property
    def broken(self) -> bool:
        """Whether the connection is known to be gone."""
        return not self._wire.open

    @property
    def thread(self) -> int:
        """The number of the connection in the server."""
        return self._wire.server_thread_id[0]

    def run(self, statement: str, *values: object, timeout_s: float | None = None) -> Answer:
        """One statement, its own transaction. Raises pymysql's errors, and NoAnswer."""
        self.begin(statement, *values, timeout_s=timeout_s)
        return self.answer()

    def begin(self, statement: str, *values: object, timeout_s: float | None = None) -> None:
        """Send one statement; its `%s` become `values`, quoted."""
        self._wire.deadline = time.monotonic() + (timeout_s or self.timeout_s)
        if values:
            statement %= tuple(self._wire.escape(value) for value in values)
        self._wire._execute_command(COMMAND.COM_QUERY, statement)

    def answered(self, wait_s: float) -> bool:
        """Whether the answer to what was begun began to come within `wait_s`."""
        sock = self._wire._sock
        if self._wire.heard or sock is None:
            return True
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        return bool(poll.poll(wait_s * 1000))

    def answer(self) -> Answer:
        """The whole answer to what was begun; errors as for `run`."""
        changed = self._wire._read_query_result()
        found = self._wire._result
        names = [column[0] for column in found.description or ()]
        return Answer(names, found.rows or (), changed)

    def close(self) -> None:
        """Drop the connection; never raises. What was begun goes on in the server."""
        if self._wire.open:
            self._wire.deadline = time.monotonic() + self.timeout_s
            self._wire.close()
