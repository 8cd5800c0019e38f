"""The client of software that we do not know: it asks, and says whether the answer is as expected.

Each probe is a connection of its own, as a user's would be, and is over after `within` at the
latest. What went wrong is a definite answer: that this probe failed is certain, whatever it did
there. Nothing is asked twice: http.client, sockets, psycopg, PyMySQL and the engine's exec do not
retry by themselves.
"""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import socket
import time
from collections.abc import Callable, Mapping
from typing import Any

import psycopg
import pymysql

from chaos.record.op import Invocation, Result
from chaos.systems._deadline import within
from chaos.systems.base import Address, ClientSpec, Definite, ErrorRule
from chaos.systems.compose.commands import Commands
from chaos.systems.compose.project import as_text

BODY_BYTES_MAX = 1 << 20
SHOWN = 120  # characters of an answer that stand in an error

ERRORS = (
    ErrorRule(
        code="timeout",
        kind=TimeoutError,
        definite=True,
        reason="no whole answer within the probe's time: it failed, whatever it did there",
    ),
    ErrorRule(
        code="refused",
        kind=OSError,
        definite=True,
        reason="nobody listened, or the connection was closed before the answer was whole",
    ),
)


class Prober:
    """See `chaos.systems.base.Client`. It keeps no connection: nothing is there to open."""

    node = ""

    def __init__(self, spec: ClientSpec) -> None:
        self._spec = spec
        self._probes: Mapping[str, Mapping[str, Any]] = spec.settings["_probes"]
        self._turns = {name: itertools.cycle(p["nodes"]) for name, p in self._probes.items()}
        self._commands = Commands(spec.settings.get("_containers", {}))
        self._kinds: dict[str, Callable[[Mapping[str, Any], str, float], None]] = {
            "http": self._http,
            "sql": self._sql,
            "tcp": self._tcp,
            "command": self._command,
        }

    def open(self) -> None:
        """Nothing: each probe connects for itself."""

    def close(self) -> None:
        """Nothing is kept but the line to the engine."""
        self._commands.close()

    def invoke(self, operation: Invocation) -> Result:
        """Ask once; `Definite` for any answer that is not as expected in time."""
        name = operation.key or ""
        probe = self._probes[name]
        node = next(self._turns[name])
        end = time.monotonic() + probe["within_s"]
        try:
            self._kinds[probe["kind"]](probe, node, end)
        except Definite:
            raise
        except TimeoutError:
            raise _late(probe, node) from None
        except OSError as error:
            if time.monotonic() >= end:
                raise _late(probe, node) from None
            raise Definite("refused", f"{node}: {_said(error)}") from None
        if time.monotonic() > end:
            raise _late(probe, node)
        return Result(node=node)

    def _address(self, probe: Mapping[str, Any], node: str) -> Address:
        return self._spec.endpoints[node][probe["port"]]

    def _http(self, probe: Mapping[str, Any], node: str, end: float) -> None:
        host, port = self._address(probe, node)
        line = http.client.HTTPConnection(host, port, timeout=_left(end))
        try:
            body = None if probe["body"] is None else probe["body"].encode()
            line.request(probe["method"], probe["ask"], body, dict(probe["headers"]))
            _within(line.sock, end)
            answer = line.getresponse()
            _within(line.sock, end)
            text = _read(answer, line, end)
        except (http.client.RemoteDisconnected, http.client.IncompleteRead) as error:
            raise ConnectionError(str(error)) from None
        except http.client.HTTPException as error:
            raise Definite("no-http", f"{node}: {_said(error)}") from None
        finally:
            line.close()
        wanted = probe["expect"] or "200"
        if str(answer.status) != wanted and f"{answer.status // 100}xx" != wanted:
            raise Definite("wrong-status", f"{node} answered {answer.status}, not {wanted}")
        if probe["contains"] is not None and probe["contains"] not in text:
            raise Definite("wrong-answer", f"{node}: {probe['contains']!r} is not in {_cut(text)}")

    def _tcp(self, probe: Mapping[str, Any], node: str, end: float) -> None:
        wanted = (probe["expect"] or "").encode()
        got = b""
        with socket.create_connection(self._address(probe, node), timeout=_left(end)) as line:
            line.sendall(probe["ask"].encode())
            while not got or wanted not in got:
                line.settimeout(_left(end))
                data = line.recv(1 << 16)
                if not data or len(got) > BODY_BYTES_MAX:
                    break
                got += data
        if not got:
            raise Definite("refused", f"{node} closed the connection without an answer")
        if wanted not in got:
            text = got.decode(errors="replace")
            raise Definite("wrong-answer", f"{node}: {probe['expect']!r} is not in {_cut(text)}")

    def _sql(self, probe: Mapping[str, Any], node: str, end: float) -> None:
        ask = _postgres if probe["dialect"] == "postgres" else _mysql
        address = self._address(probe, node)
        row = within(_left(end), lambda: ask(probe, address, end, node))
        wanted = probe["expect"]
        first = None if not row else row[0]
        if wanted is not None and as_text(first) != wanted:
            raise Definite("wrong-answer", f"{node} gave {_cut(as_text(first))}, not {wanted}")

    def _command(self, probe: Mapping[str, Any], node: str, end: float) -> None:
        code, output = self._commands.run(node, probe["ask"], _left(end))
        wanted = probe["expect"] or "0"
        if str(code) != wanted:
            said = f": {_cut(output.strip())}" if output.strip() else ""
            raise Definite("wrong-exit", f"{node}: exit code {code}, not {wanted}{said}")


def _late(probe: Mapping[str, Any], node: str) -> Definite:
    return Definite("too-slow", f"{node}: no whole answer within {probe['within_s'] * 1000:g} ms")


def _left(end: float) -> float:
    """Seconds until `end`; TimeoutError when there are none."""
    left = end - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _within(line: socket.socket | None, end: float) -> None:
    if line is not None:
        line.settimeout(_left(end))


def _read(answer: http.client.HTTPResponse, line: http.client.HTTPConnection, end: float) -> str:
    """The body, up to a size; a piece at a time, so that a slow one ends in time."""
    parts: list[bytes] = []
    size = 0
    while size < BODY_BYTES_MAX and (data := answer.read1(1 << 16)):
        parts.append(data)
        size += len(data)
        if line.sock is not None:
            _within(line.sock, end)
        else:
            _left(end)
    return b"".join(parts).decode(errors="replace")


def _postgres(probe: Mapping[str, Any], address: Address, end: float, node: str) -> Any:
    host, port = address
    until_ms = max(1, int(_left(end) * 1000))
    try:
        connection = psycopg.connect(
            host=host,
            port=port,
            user=probe["user"],
            password=probe["password"] or None,
            dbname=probe["database"],
            connect_timeout=max(2, -(-until_ms // 1000)),  # the driver takes two at least
            autocommit=True,
            sslmode="disable",
            options=f"-c statement_timeout={until_ms}",
            tcp_user_timeout=until_ms,
        )
        with contextlib.closing(connection):
            cursor = connection.execute(probe["ask"])
            return cursor.fetchone() if cursor.description else None
    except psycopg.Error as error:
        raise _sql_error(error, getattr(error, "sqlstate", None), end, node) from None


def _mysql(probe: Mapping[str, Any], address: Address, end: float, node: str) -> Any:
    host, port = address
    left_s = _left(end)
    try:
        connection = pymysql.connect(
            host=host,
            port=port,
            user=probe["user"],
            password=probe["password"],
            database=probe["database"] or None,
            connect_timeout=left_s,
            read_timeout=left_s,
            write_timeout=left_s,
            autocommit=True,
        )
        with contextlib.closing(connection), connection.cursor() as cursor:
            cursor.execute(probe["ask"])
            return cursor.fetchone() if cursor.description else None
    except pymysql.Error as error:
        number = error.args[0] if error.args else None
        lost = isinstance(number, int) and number >= 2000  # CR_…: the client's own
        raise _sql_error(error, None if lost or not number else str(number), end, node) from None


def _sql_error(error: Exception, code: str | None, end: float, node: str) -> Exception:
    """A server's refusal is an answer that is not as expected; the rest is the connection's."""
    if time.monotonic() >= end or code == "57014":  # statement_timeout
        return TimeoutError()
    text = " ".join(str(error).split())
    if code is not None:
        return Definite("sql-error", f"{node}: {code}: {_cut(text)}")
    return ConnectionError(text)


def _said(error: BaseException) -> str:
    return _cut(str(error) or type(error).__name__)


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return json.dumps(text if len(text) <= SHOWN else text[:SHOWN] + "…", ensure_ascii=False)
