"""One connection to one RabbitMQ node through pika, and a channel that confirms what is published.

What pika does by itself and what becomes of it here (pika 1.4):

- It tries to connect several times when told so: `connection_attempts` is one.
- It connects, shakes hands and waits for answers without end. Connecting has its own time limits;
  for the rest a timer is set on the event loop below `BlockingConnection`, which has none of its
  own that would end a wait (`within`).
- It sends heartbeats only while it is being used, and a node hangs up on who sends none: clients
  ask for none (`heartbeat=0`). A node notices that they are gone when their connection ends.
- It never connects again and sends nothing twice.
- `close` waits for the node's goodbye without end: it gets a moment, then the socket is closed.
- It logs what it meets: silenced.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator
from typing import Any

import pika
from pika.adapters.utils.connection_workflow import AMQPConnectorException
from pika.exceptions import AMQPError, IncompatibleProtocolError

from chaos.systems.base import Address, NotConnected

USER = "guest"  # RabbitMQ's own first user, with the password it comes with
GOODBYE_S = 0.3

logging.getLogger("pika").setLevel(logging.CRITICAL + 1)


class Line:
    """An open connection; NotConnected if it is not made in time."""

    def __init__(self, address: Address, timeout_s: float) -> None:
        end_s = time.monotonic() + timeout_s
        try:
            self._connection = pika.BlockingConnection(
                pika.ConnectionParameters(
                    *address,
                    credentials=pika.PlainCredentials(USER, USER),
                    connection_attempts=1,
                    socket_timeout=timeout_s,
                    stack_timeout=timeout_s,
                    heartbeat=0,
                )
            )
        except IncompatibleProtocolError as error:  # so pika calls a connection that was ended
            raise NotConnected(f"{address[0]}:{address[1]} hung up before its greeting") from error
        except (AMQPError, AMQPConnectorException, OSError) as error:
            raise NotConnected(f"connecting to {address[0]}:{address[1]}: {error!r}") from error
        try:
            with self.within(max(0.05, end_s - time.monotonic())):
                self.channel = self.new_channel()
                self.channel.confirm_delivery()
        except (AMQPError, OSError) as error:
            self.cut()
            raise NotConnected(f"a channel at {address[0]}:{address[1]}: {error!r}") from error

    @contextlib.contextmanager
    def within(self, timeout_s: float) -> Iterator[None]:
        """What is done meanwhile ends with TimeoutError when it takes longer. The connection is of
        no more use then."""

        def late() -> None:
            raise TimeoutError(f"no answer within {timeout_s:g} s")

        loop = self._connection._impl.ioloop
        timer = loop.call_later(timeout_s, late)
        try:
            yield
        finally:
            loop.remove_timeout(timer)

    def new_channel(self) -> Any:
        """Another channel on it."""
        return self._connection.channel()

    def listen(self, time_s: float) -> None:
        """Hand out what consumers are sent, as it comes; until something came, or for so long."""
        self._connection.process_data_events(time_limit=time_s)

    def close(self) -> None:
        """Say goodbye, and wait a moment for the node's; never raises."""
        with contextlib.suppress(Exception), self.within(GOODBYE_S):
            self._connection.close()
        self.cut()

    def cut(self) -> None:
        """Close the socket and say nothing; never raises."""
        with contextlib.suppress(Exception):
            inner = self._connection._impl
            transport = inner._transport
            line = getattr(transport, "_sock", None)
            if line is not None:
                line.close()
            inner.ioloop.close()
