"""MariaDB as a lock service, and as the store of what a lock guards.

A lock is a row that says who has it, with which token (one higher with each holder) and until when,
by the clock of the node that is asked. One statement acquires: the row's lock makes rivals wait,
and it tests and writes what the one before left. The columns are assigned from left to right, and
`holder`, drawn anew each time, says to the others and to us whether the lock was had. `GET_LOCK`
would do without leases, but ends with the connection, is known to one node only, and hands out no
token that a store could compare.

A document is a row with the highest token that it has met. With a token, loading it is a write: an
older holder that loaded before and stores after must be refused even if the newer one has not
stored yet, or the newer one's store would undo it. The answer is the highest token met; one above
ours means that we were refused.
"""

from __future__ import annotations

import random

from chaos.record.op import Invocation, Result
from chaos.systems._locks import held, lease_s, not_held, stale_token
from chaos.systems.base import ClientSpec
from chaos.systems.mariadb.client import Access, MariadbClient
from chaos.systems.mariadb.wire import Session

ACQUIRE = (
    "INSERT INTO locks (id, holder, token, until)"
    " VALUES (%s, %s, 1, SYSDATE(6) + INTERVAL %s MICROSECOND)"
    " ON DUPLICATE KEY UPDATE holder = IF(until < SYSDATE(6), VALUES(holder), holder),"
    " token = IF(holder = VALUES(holder), token + 1, token),"
    " until = IF(holder = VALUES(holder), VALUES(until), until)"
    " RETURNING holder, token"
)
RELEASE = (
    "UPDATE locks SET until = '1970-01-01' WHERE id = %s AND token = %s AND until >= SYSDATE(6)"
)
LOAD = "SELECT body FROM documents WHERE id = %s"
LOAD_UNDER = (
    "INSERT INTO documents (id, body, token) VALUES (%s, '[]', %s)"
    " ON DUPLICATE KEY UPDATE token = GREATEST(token, VALUES(token)) RETURNING body, token"
)
STORE = (
    "INSERT INTO documents (id, body, token) VALUES (%s, %s, 0)"
    " ON DUPLICATE KEY UPDATE body = VALUES(body)"
)
STORE_UNDER = (
    "INSERT INTO documents (id, body, token) VALUES (%s, %s, %s)"
    " ON DUPLICATE KEY UPDATE body = IF(VALUES(token) >= token, VALUES(body), body),"
    " token = GREATEST(token, VALUES(token)) RETURNING token"
)
HOLDER_BITS = 62  # of a random number: two alike are as good as impossible


class LockClient(MariadbClient):
    """A lock is a row of `locks`."""

    def __init__(self, spec: ClientSpec, access: Access | None = None) -> None:
        super().__init__(spec, access)
        self._lease_us = int(lease_s(spec.options) * 1e6)
        self._do = {"acquire": self._acquire, "release": self._release}

    def _acquire(self, session: Session, operation: Invocation) -> Result:
        holder = random.SystemRandom().getrandbits(HOLDER_BITS)
        done = session.run(ACQUIRE, str(operation.key), holder, self._lease_us)
        now, token = done.rows[0]
        if now != holder:
            raise held()
        return Result(value=token, node=self.node)

    def _release(self, session: Session, operation: Invocation) -> Result:
        if session.run(RELEASE, str(operation.key), operation.value or 0).changed != 1:
            raise not_held()
        return Result(node=self.node)


class DocumentClient(MariadbClient):
    """A document is a row of `documents`."""

    def __init__(self, spec: ClientSpec, access: Access | None = None) -> None:
        super().__init__(spec, access)
        self._do = {"load": self._load, "store": self._store}

    def _load(self, session: Session, operation: Invocation) -> Result:
        key, token = str(operation.key), operation.value
        if token is None:
            body = session.run(LOAD, key).value
        else:
            body, met = session.run(LOAD_UNDER, key, token).rows[0]
            if met > token:
                raise stale_token()
        return Result(payload=body or "[]", node=self.node)

    def _store(self, session: Session, operation: Invocation) -> Result:
        key, body, token = str(operation.key), operation.payload or "[]", operation.value
        if token is None:
            session.run(STORE, key, body)
        elif session.run(STORE_UNDER, key, body, token).value > token:
            raise stale_token()
        return Result(node=self.node)
