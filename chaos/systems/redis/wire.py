"""Connections to Redis, Valkey and Sentinel: redis-py's bare one, which tries nothing twice.

Off, because each would try again behind the history's back: redis-py's `Retry` (three attempts by
default), `retry_on_timeout`, `retry_on_error`, health checks (they reconnect), maintenance
notifications (they move connections and relax timeouts), the pool, and `RedisCluster`, which sends
a command up to 16 times after MOVED, ASK, TRYAGAIN or a lost connection. `CLIENT SETINFO` is off as
well: it costs two round trips a connection.
"""

from __future__ import annotations

from typing import Any

from redis.backoff import NoBackoff
from redis.connection import Connection
from redis.retry import Retry

from chaos.systems.base import Address

Wire = Any  # redis.connection.Connection, whose methods carry no types
_open: Any = Connection


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


def fields(flat: list[bytes]) -> dict[str, str]:
    """[name, value, name, value, …], as Sentinel answers, as a mapping."""
    words = [word.decode() for word in flat]
    return dict(zip(words[::2], words[1::2], strict=True))


def lines(text: bytes) -> dict[str, str]:
    """The lines `name:value` of INFO or CLUSTER INFO as a mapping."""
    return dict(line.split(":", 1) for line in text.decode().split("\r\n") if ":" in line)
