"""PostgreSQL as a lock service, and as the store of what a lock guards.

A lock is a row that says who has it (a token, one higher with each holder) and until when, by the
primary's clock. One statement acquires: the row's lock makes rivals wait, and what it then tests
and writes is what the one before left. Session locks (`pg_advisory_lock`) would do without leases,
but end only with the connection, and hand out no token that a store could compare.

A document is a row with the highest token that it has met. With a token, loading it is a write: an
older holder that loaded before and stores after must be refused even if the newer one has not
stored yet, or the newer one's store would undo it.
"""

from __future__ import annotations

from chaos.record.op import Invocation, Result
from chaos.systems._locks import held, lease_s, not_held, stale_token
from chaos.systems.base import ClientSpec
from chaos.systems.postgres.client import PostgresClient, Session

ACQUIRE = (
    b"INSERT INTO locks (key, token, until)"
    b" VALUES ($1, 1, clock_timestamp() + $2::float * interval '1 second')"
    b" ON CONFLICT (key) DO UPDATE SET token = locks.token + 1,"
    b" until = clock_timestamp() + $2::float * interval '1 second'"
    b" WHERE locks.until < clock_timestamp() RETURNING token"
)
RELEASE = (
    b"UPDATE locks SET until = '-infinity'"
    b" WHERE key = $1 AND token = $2 AND until >= clock_timestamp()"
)
LOAD = b"SELECT body FROM documents WHERE key = $1"
LOAD_UNDER = (
    b"INSERT INTO documents (key, body, token) VALUES ($1, '[]', $2)"
    b" ON CONFLICT (key) DO UPDATE SET token = excluded.token"
    b" WHERE documents.token <= excluded.token RETURNING body"
)
STORE = (
    b"INSERT INTO documents (key, body, token) VALUES ($1, $2, 0)"
    b" ON CONFLICT (key) DO UPDATE SET body = excluded.body"
)
STORE_UNDER = (
    b"INSERT INTO documents (key, body, token) VALUES ($1, $2, $3)"
    b" ON CONFLICT (key) DO UPDATE SET body = excluded.body, token = excluded.token"
    b" WHERE documents.token <= excluded.token"
)


class LockClient(PostgresClient):
    """A lock is a row of `locks`."""

    def __init__(self, spec: ClientSpec) -> None:
        super().__init__(spec)
        self._lease = f"{lease_s(spec.options)}".encode()
        self._do = {"acquire": self._acquire, "release": self._release}

    def _acquire(self, session: Session, operation: Invocation) -> Result:
        found = session.run(ACQUIRE, [str(operation.key).encode(), self._lease])
        token = found.get_value(0, 0) if found.ntuples else None
        if token is None:
            raise held()
        return Result(value=int(token), node=self.node)

    def _release(self, session: Session, operation: Invocation) -> Result:
        values = [str(operation.key).encode(), b"%d" % (operation.value or 0)]
        if session.run(RELEASE, values).command_tuples != 1:
            raise not_held()
        return Result(node=self.node)


class DocumentClient(PostgresClient):
    """A document is a row of `documents`."""

    def __init__(self, spec: ClientSpec) -> None:
        super().__init__(spec)
        self._do = {"load": self._load, "store": self._store}

    def _load(self, session: Session, operation: Invocation) -> Result:
        key = str(operation.key).encode()
        if operation.value is None:
            found = session.run(LOAD, [key])
        else:
            found = session.run(LOAD_UNDER, [key, b"%d" % operation.value])
            if not found.ntuples:
                raise stale_token()
        body = found.get_value(0, 0) if found.ntuples else None
        return Result(payload=(body or b"[]").decode(), node=self.node)

    def _store(self, session: Session, operation: Invocation) -> Result:
        values = [str(operation.key).encode(), (operation.payload or "[]").encode()]
        if operation.value is None:
            session.run(STORE, values)
        elif session.run(STORE_UNDER, [*values, b"%d" % operation.value]).command_tuples != 1:
            raise stale_token()
        return Result(node=self.node)
