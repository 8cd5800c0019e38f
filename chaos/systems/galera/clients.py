"""Galera's clients are MariaDB's. What differs is which nodes they use, and what its errors mean.

Every node takes writes, so a client stays with its home node; `failover` lets it try the others
when it connects. The server may try a statement again that lost a conflict; it does not here
(`wsrep_retry_autocommit = 0`), so that a client hears of each.
"""

from __future__ import annotations

from collections.abc import Sequence

from pymysql.err import MySQLError

from chaos.systems._common import TRUE_FALSE, Setting, tried_nodes
from chaos.systems._locks import LEASE
from chaos.systems.base import ClientSpec, ErrorRule
from chaos.systems.mariadb.client import ERRORS as MARIADB_ERRORS
from chaos.systems.mariadb.client import UNPREPARED, Access
from chaos.systems.mariadb.clients import TRANSACTION_OPTIONS
from chaos.systems.mariadb.wire import Session

READY = "SHOW STATUS LIKE 'wsrep_ready'"

ERRORS = (
    ErrorRule(
        code="no-primary-component",
        kind=MySQLError,
        pattern=rf"^\({UNPREPARED},",
        definite=True,
        reason="1047: the node belongs to no majority, or has not what the others have yet; it "
        "refused the statement",
    ),
    ErrorRule(
        code="majority-lost",
        kind=MySQLError,
        pattern=r"^\(1180,.* during COMMIT",
        definite=False,
        reason="1180: the node lost the majority while its writeset was under way; the others may "
        "have it, and commit it",
    ),
    *MARIADB_ERRORS,
)
OPTIONS = {
    **TRANSACTION_OPTIONS,
    "reads": Setting(
        about="where reads go: home (default: the client's own node) or any (each read through a "
        "node drawn anew); writes go through the home node",
        values="home|any",
        workloads=frozenset({"session"}),
    ),
    "failover": Setting(
        about="true: try the other nodes when the home node does not answer or is in no primary "
        "component; default false",
        values=TRUE_FALSE,
    ),
    "lease": LEASE,
}


class GaleraAccess(Access):
    """The home node, or with `failover` any; it must be in the primary component and in sync."""

    errors: Sequence[ErrorRule] = ERRORS
    missing = "no primary component"

    def nodes(self, spec: ClientSpec) -> Sequence[str]:
        """The home node; with `failover` then the others by name."""
        return tried_nodes(spec)

    def refusal(self, session: Session) -> str:
        """Why nothing is to be written there; "" if it may be."""
        row = session.run(READY).rows[0]
        return "" if row[1] == "ON" else "is in no primary component"
