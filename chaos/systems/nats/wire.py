"""One connection to one NATS server through nats-py, whose loop runs only while somebody waits.

What nats-py does by itself and what becomes of it here (nats-py 2.16):

- It connects again after a loss, and sends what was published meanwhile: `allow_reconnect` is off
  and `max_reconnect_attempts` is 0. A lost connection is of no more use.
- It tries to connect for ever all the same, to the one server it knows: the first error is raised
  (`_said`), and connecting has a deadline.
- It learns of other servers from the first (`connect_urls`): servers here advertise none
  (`no_advertise`), and a server that is not connected to is never asked.
- It does not tell who waits for an answer that the connection is gone: every wait ends with the
  connection (`Lost`), or with the operation's deadline.
- Its `fetch` asks a second time after an empty answer: pulls are made by hand (`messages.py`).
- Its `publish` of JetStream sends once and waits once: it is used as it is.
- It pings by itself every two minutes: not here, where its loop stands still between operations.
- It logs what it meets: silenced.

What was published and not yet written when the connection ends is dropped; nobody can tell, so
that is indefinite, as what was written is.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

from nats.aio.client import Client as Nats
from nats.js import JetStreamContext

from chaos.systems.base import Address, NotConnected

GOODBYE_S = 0.3
NEVER_S = 1_000_000

logging.getLogger("nats").addHandler(logging.NullHandler())
T = TypeVar("T")


class Lost(ConnectionError):
    """The connection ended while somebody waited for an answer."""


class Line:
    """A connection, opened by being made: NotConnected if that fails in time."""

    def __init__(self, address: Address, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._why: Exception | None = None
        self._connected = False
        self._loop = asyncio.new_event_loop()
        self._gone: asyncio.Future[None] = self._loop.create_future()
        self.nats = Nats()
        self.begin()
        try:
            self.run(self._connect(address))
        except Exception as error:
            self.close()
            why = _why(error)
            raise NotConnected(f"connecting to {address[0]}:{address[1]}: {why}") from error
        self._connected = True
        self.js = JetStreamContext(self.nats, timeout=NEVER_S)  # the deadline is ours

    def begin(self, within_s: float | None = None) -> None:
        """An operation begins: its answers are waited for until its deadline."""
        self._end_s = time.monotonic() + (self._timeout_s if within_s is None else within_s)

    def run(self, asked: Coroutine[Any, Any, T]) -> T:
        """What it gives; TimeoutError after the operation's deadline, Lost with the connection."""
        return self._loop.run_until_complete(self._awaited(asked))

    def close(self) -> None:
        """Drop the connection; never raises."""
        if self._loop.is_closed():
            return
        with contextlib.suppress(Exception):
            self._loop.run_until_complete(asyncio.wait_for(self.nats.close(), GOODBYE_S))
        with contextlib.suppress(Exception):
            self._loop.run_until_complete(self._end())
        self._loop.close()

    def __del__(self) -> None:  # an observer has no other end than being forgotten
        self.close()

    async def _connect(self, address: Address) -> None:
        await self.nats.connect(
            f"nats://{address[0]}:{address[1]}",
            allow_reconnect=False,
            max_reconnect_attempts=0,
            connect_timeout=NEVER_S,
            ping_interval=NEVER_S,
            error_cb=self._said,
            closed_cb=self._ended,
        )

    async def _said(self, error: Exception) -> None:
        """What nats-py cannot raise. While it connects, to raise it here is what stops it."""
        self._why = error
        if not self._connected:
            raise error

    async def _ended(self) -> None:
        if not self._gone.done():
            self._gone.set_result(None)

    async def _awaited(self, asked: Coroutine[Any, Any, T]) -> T:
        task = self._loop.create_task(asked)
        left_s = max(0.0, self._end_s - time.monotonic())
        either: set[asyncio.Future[Any]] = {task, self._gone}
        await asyncio.wait(either, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
        if not task.cancelled():
            return task.result()
        if self._gone.done():
            raise Lost(str(self._why or "") or "the server closed the connection")
        raise TimeoutError("no answer in time")

    async def _end(self) -> None:
        """Let nothing of nats-py be left on the loop, also where its peer takes no goodbye."""
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        writer = getattr(self.nats._transport, "_io_writer", None)
        if writer is not None:
            writer.transport.abort()
            await asyncio.sleep(0)


def _why(error: Exception) -> str:
    """What kept a connection from being made; asyncio's own text does not say."""
    if isinstance(error, TimeoutError):
        return "timed out"
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno).lower()
    return str(error)
