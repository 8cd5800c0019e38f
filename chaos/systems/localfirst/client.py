"""A client of a local-first peer: JSON over one kept HTTP connection, and what its errors mean.

A client speaks to its home peer and to no other: what it adds, that peer signs as its owner.
Nothing is retried, and no connection made again but by the next operation.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Mapping
from typing import Any

from chaos.record.op import Invocation, Result
from chaos.systems._common import NOT_CONNECTED
from chaos.systems._http import NO_ANSWER, Connection
from chaos.systems.base import Address, ClientSpec, Definite, ErrorRule, NotConnected

ELEMENTS = "elements"  # the part of a document that an operation without a key is about


NOT_ALLOWED = ("revoked", "not-a-member", "not-admin", "is-admin", "unknown-member")


class PeerRefuses(Exception):
    """The peer could not do it; its text is the peer's code and message."""


ERRORS = (
    *NOT_CONNECTED,
    ErrorRule(
        code="no-document",
        kind=PeerRefuses,
        pattern=r"^no-document",
        definite=True,
        reason="the peer has lost its document and has not yet got it from another one",
    ),
    ErrorRule(
        code="cannot-store",
        kind=PeerRefuses,
        pattern=r"^cannot-store",
        definite=False,
        reason="the disk refused the change; a part that it took may be there after a restart",
    ),
    ErrorRule(
        code="peer-failed",
        kind=PeerRefuses,
        pattern=r"^internal",
        definite=False,
        reason="the peer's program failed, perhaps after the change was made",
    ),
    *NO_ANSWER,
)
FAILURES = (OSError, http.client.HTTPException, PeerRefuses, NotConnected)


class Peer(Connection):
    """One kept connection to one peer."""

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """The answer to one request. Definite where the peer's owner may not do it, PeerRefuses
        where the peer cannot; after an OSError or an HTTPException the connection is of no more
        use."""
        status, answer = self.request(method, path, body)
        if status != 200:
            said = answer if isinstance(answer, dict) else {}
            code, message = said.get("error", f"status {status}"), said.get("message", "")
            if code in NOT_ALLOWED:
                raise Definite(code, message)
            raise PeerRefuses(f"{code}: {message}")
        return answer


def ask_once(address: Address, timeout_s: float, method: str, path: str, body: Any = None) -> Any:
    """One request over a connection of its own."""
    peer = Peer(address, timeout_s)
    try:
        return peer.ask(method, path, body)
    finally:
        peer.close()


class EditsClient:
    """One process: adds elements, reads a part of the document, revokes and admits members."""

    def __init__(self, spec: ClientSpec) -> None:
        self._spec = spec
        self.node = ""
        self._peer: Peer | None = None
        self._do: Mapping[str, Callable[[Peer, Invocation], Result]] = {
            "add": self._add,
            "read": self._read,
            "revoke": self._standing,
            "admit": self._standing,
        }

    def open(self) -> None:
        """Connect and have the peer answer once, so that a dead one is known before any request."""
        self.close()
        peer = Peer(self._spec.endpoints[self._spec.home]["db"], self._spec.timeout_s)
        try:
            peer.ask("GET", "/health")
        except FAILURES as error:
            peer.close()
            raise NotConnected(str(error)) from error
        self.node, self._peer = self._spec.home, peer

    def invoke(self, operation: Invocation) -> Result:
        """Do it once; a broken connection is dropped, and made anew by the next call."""
        if self._peer is None:
            self.open()
        assert self._peer is not None
        try:
            return self._do[operation.f](self._peer, operation)
        except (OSError, http.client.HTTPException):
            self.close()
            raise

    def close(self) -> None:
        """Drop the connection."""
        peer, self._peer = self._peer, None
        if peer is not None:
            peer.close()

    def _add(self, peer: Peer, operation: Invocation) -> Result:
        peer.ask("POST", f"/{ELEMENTS}", {"element": operation.value})
        return Result(value=operation.value, node=self.node)

    def _read(self, peer: Peer, operation: Invocation) -> Result:
        found = peer.ask("GET", f"/{operation.key or ELEMENTS}")
        return Result(payload=json.dumps(found, separators=(",", ":")), node=self.node)

    def _standing(self, peer: Peer, operation: Invocation) -> Result:
        member = json.loads(operation.payload or "null")
        peer.ask("POST", "/members", {"member": member, "admits": operation.f == "admit"})
        return Result(node=self.node)


CLIENTS: Mapping[str, type[EditsClient]] = {"edits": EditsClient, "set": EditsClient}
