"""The etcd client: its JSON gateway over one kept HTTP connection, and what its errors mean.

The official clients retry reads, and writes that certainly did not run, and move between endpoints
by themselves; this one does none of that. Codes and texts are those of
https://github.com/etcd-io/etcd/blob/release-3.5/api/v3rpc/rpctypes/error.go.
"""

from __future__ import annotations

import base64
import http.client
from collections.abc import Callable, Mapping
from typing import Any

from chaos.record.op import Invocation, Result
from chaos.systems._common import NOT_CONNECTED, tried_nodes
from chaos.systems._connections import first_that_serves
from chaos.systems._http import NO_ANSWER, Connection
from chaos.systems._transactions import NOT_COMMITTED, NotCommitted
from chaos.systems.base import Address, ClientSpec, Definite, ErrorRule, NotConnected

SET_PREFIX = "set/"
SET_END = "set0"  # the first key after all that begin with the prefix: "0" follows "/"


class EtcdError(Exception):
    """An answer that says no; its text is the server's, `code` the gRPC status code."""

    def __init__(self, text: str, code: int | None) -> None:
        super().__init__(text)
        self.code = code


NO_STATUS = (OSError, http.client.HTTPException, EtcdError)
ERRORS = (
    *NOT_CONNECTED,
    NOT_COMMITTED,
    ErrorRule(
        code="leader-changed",
        kind=EtcdError,
        pattern=r"leader changed",
        definite=False,
        reason="the request was proposed to a leader that was replaced; it may still be committed",
    ),
    ErrorRule(
        code="etcd-timeout",
        kind=EtcdError,
        pattern=r"request timed out|deadline exceeded",
        definite=False,
        reason="the request was proposed and no majority agreed in time; it may still be committed",
    ),
    ErrorRule(
        code="no-leader",
        kind=EtcdError,
        pattern=r"no leader",
        definite=True,
        reason="the node knows no leader and refused before proposing anything",
    ),
    ErrorRule(
        code="too-many-requests",
        kind=EtcdError,
        pattern=r"too many requests",
        definite=True,
        reason="refused before it was proposed: too much is waiting to be applied",
    ),
    ErrorRule(
        code="proposal-dropped",
        kind=EtcdError,
        pattern=r"raft proposal dropped",
        definite=True,
        reason="raft ignored the proposal and said so, so that it can be made again",
    ),
    ErrorRule(
        code="no-space",
        kind=EtcdError,
        pattern=r"database space exceeded",
        definite=True,
        reason="over quota-backend-bytes a write is refused and not applied",
    ),
    ErrorRule(
        code="too-large",
        kind=EtcdError,
        pattern=r"request is too large",
        definite=True,
        reason="refused before it was proposed",
    ),
    ErrorRule(
        code="server-stopped",
        kind=EtcdError,
        pattern=r"server stopped",
        definite=False,
        reason="the node stopped while it waited for agreement",
    ),
    ErrorRule(
        code="corrupt",
        kind=EtcdError,
        pattern=r"corrupt cluster",
        definite=True,
        reason="with a corruption alarm raised, requests are refused and not applied",
    ),
    ErrorRule(
        code="unavailable",
        kind=EtcdError,
        pattern=r"connection error|error reading from server|transport is closing|EOF",
        definite=False,
        reason="the gateway inside the node lost its own connection to it",
    ),
    *NO_ANSWER,
)


class Gateway(Connection):
    """One kept connection to one node. `timeout_s` bounds connecting and every wait for bytes."""

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to one request: EtcdError when it says no, OSError or HTTPException when none
        came; after those two the connection is of no more use."""
        return self._judged(*self.request("POST", path, body))

    def get(self, path: str) -> dict[str, Any]:
        """The same for a path that is only read."""
        return self._judged(*self.request("GET", path))

    def _judged(self, status: int, data: Any) -> dict[str, Any]:
        if status != 200 or not isinstance(data, dict) or "error" in data:
            said = data if isinstance(data, dict) else {}
            why = said.get("message") or said.get("error") or f"HTTP status {status}"
            raise EtcdError(str(why), said.get("code"))
        return data


def post_once(
    address: Address, timeout_s: float, path: str, body: Mapping[str, Any]
) -> dict[str, Any]:
    """One request over a connection of its own."""
    gateway = Gateway(address, timeout_s)
    try:
        return gateway.post(path, body)
    finally:
        gateway.close()


def encoded(text: str) -> str:
    """Text as the gateway wants bytes: base64."""
    return base64.b64encode(text.encode()).decode()


class EtcdClient:
    """One process: talks to its home node, or with `failover: true` to the first that answers."""

    def __init__(self, spec: ClientSpec) -> None:
        self._spec = spec
        self._serializable = spec.options.get("reads", "linearizable") == "serializable"
        self.node = ""
        self._gateway: Gateway | None = None
        self._do: Mapping[str, Callable[[Gateway, Invocation], Result]] = {}

    def open(self) -> None:
        """Connect and have the node answer once, so that a dead one is known before any request."""
        self.close()
        self.node, self._gateway = first_that_serves(
            tried_nodes(self._spec), self._opened, (*NO_STATUS, NotConnected)
        )

    def _opened(self, node: str) -> Gateway:
        gateway = Gateway(self._spec.endpoints[node]["db"], self._spec.timeout_s)
        try:
            gateway.post("/v3/maintenance/status", {})
        except NO_STATUS:
            gateway.close()
            raise
        return gateway

    def invoke(self, operation: Invocation) -> Result:
        """Do it once; a broken connection is dropped, and made anew by the next call."""
        if self._gateway is None:
            self.open()
        assert self._gateway is not None
        try:
            return self._do[operation.f](self._gateway, operation)
        except (OSError, http.client.HTTPException, NotCommitted):
            self.close()
            raise

    def close(self) -> None:
        """Drop the connection."""
        gateway, self._gateway = self._gateway, None
        if gateway is not None:
            gateway.close()

    def _range(self, gateway: Gateway, key: str, **more: Any) -> list[dict[str, str]]:
        body = {"key": encoded(key), "serializable": self._serializable, **more}
        found: list[dict[str, str]] = gateway.post("/v3/kv/range", body).get("kvs", [])
        return found

    def _put(self, gateway: Gateway, key: str, value: str) -> None:
        gateway.post("/v3/kv/put", {"key": encoded(key), "value": encoded(value)})


class RegisterClient(EtcdClient):
    """A register is a key holding a decimal integer."""

    def __init__(self, spec: ClientSpec) -> None:
        super().__init__(spec)
        self._do = {"read": self._read, "write": self._write, "cas": self._cas}

    def _read(self, gateway: Gateway, operation: Invocation) -> Result:
        found = self._range(gateway, str(operation.key))
        value = int(base64.b64decode(found[0]["value"])) if found else None
        return Result(value=value, node=self.node)

    def _write(self, gateway: Gateway, operation: Invocation) -> Result:
        self._put(gateway, str(operation.key), str(operation.value))
        return Result(value=operation.value, node=self.node)

    def _cas(self, gateway: Gateway, operation: Invocation) -> Result:
        key = encoded(str(operation.key))
        if operation.expected is None:  # the key was never made
            test = {"key": key, "target": "CREATE", "result": "EQUAL", "create_revision": "0"}
        else:
            value = encoded(str(operation.expected))
            test = {"key": key, "target": "VALUE", "result": "EQUAL", "value": value}
        put = {"request_put": {"key": key, "value": encoded(str(operation.value))}}
        answer = gateway.post("/v3/kv/txn", {"compare": [test], "success": [put]})
        if not answer.get("succeeded", False):
            raise Definite("cas-mismatch", "the key holds another value")
        return Result(value=operation.value, node=self.node)


class SetClient(EtcdClient):
    """The set is the keys below `set/`."""

    def __init__(self, spec: ClientSpec) -> None:
        super().__init__(spec)
        self._do = {"add": self._add, "read": self._read}

    def _add(self, gateway: Gateway, operation: Invocation) -> Result:
        self._put(gateway, f"{SET_PREFIX}{operation.value}", str(operation.value))
        return Result(value=operation.value, node=self.node)

    def _read(self, gateway: Gateway, operation: Invocation) -> Result:
        found = self._range(gateway, SET_PREFIX, range_end=encoded(SET_END), keys_only=True)
        skipped = len(SET_PREFIX)
        elements = sorted(int(base64.b64decode(item["key"])[skipped:]) for item in found)
        return Result(payload="[" + ",".join(map(str, elements)) + "]", node=self.node)
