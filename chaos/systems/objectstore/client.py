"""The object store's clients: which nodes they use, how they read, change and write back, and what
errors mean.

A client stays with its home node. With a second site (`replicate-to`) writes go to the site that
takes them, whatever the client's own; so do reads, unless `reads: nearest`.

To read, change and write back takes two requests. With `if-match` (the default) the second is
refused if another has written in between, by the ETag of what was read: a definite `conflict`.
An ETag is the MD5 of the content, so that an object which is what it was once more passes for one
that nobody has touched. No content comes back here: sets and sums only grow, and locks and
documents hold their token (in the content: what stands in an object's metadata does not change its
ETag).

Codes are those of MinIO (`cmd/api-errors.go`), whose own come beside those of
https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    FlexibleChecksumError,
    HTTPClientError,
    IncompleteReadError,
    ReadTimeoutError,
)
from botocore.parsers import ResponseParserError

from chaos.record.op import Invocation, Result
from chaos.systems._common import (
    FAILOVER,
    NOT_CONNECTED,
    TRUE_FALSE,
    Setting,
    fails_over,
    home_first,
    is_on,
)
from chaos.systems._connections import first_that_serves
from chaos.systems._locks import LEASE
from chaos.systems._transactions import NOT_COMMITTED, NotCommitted
from chaos.systems.base import ClientSpec, Definite, ErrorRule
from chaos.systems.objectstore.conf import sites
from chaos.systems.objectstore.wire import Store, etag_of

ERRORS = (
    *NOT_CONNECTED,
    NOT_COMMITTED,
    ErrorRule(
        code="no-connection",
        kind=EndpointConnectionError,
        definite=True,
        reason="no connection could be made in place of one that had ended; nothing was sent",
    ),
    ErrorRule(
        code="no-connection-in-time",
        kind=ConnectTimeoutError,
        definite=True,
        reason="no connection was made in time in place of one that had ended; nothing was sent",
    ),
    ErrorRule(
        code="timeout",
        kind=ReadTimeoutError,
        definite=False,
        reason="no answer in time; the operation may have happened, or may still happen",
    ),
    ErrorRule(
        code="connection-lost",
        kind=ConnectionClosedError,
        definite=False,
        reason="the connection ended before the answer; the operation may have happened",
    ),
    ErrorRule(
        code="broken-connection",
        kind=HTTPClientError,
        definite=False,
        reason="the connection broke on the way; the operation may have happened",
    ),
    ErrorRule(
        code="incomplete-answer",
        kind=IncompleteReadError,
        definite=False,
        reason="the answer was cut short; the operation may have happened",
    ),
    ErrorRule(
        code="wrong-checksum",
        kind=FlexibleChecksumError,
        definite=False,
        reason="what was read is not what its checksum is of; reads only, and nothing is known",
    ),
    ErrorRule(
        code="unreadable-answer",
        kind=ResponseParserError,
        definite=False,
        reason="the answer was no answer of S3; the operation may have happened",
    ),
    ErrorRule(
        code="no-write-quorum",
        kind=ClientError,
        pattern=r"\(SlowDownWrite\)",
        definite=False,
        reason="503: too few drives took the write, before any of them was to show it or after; "
        "those that did are told to undo it, and one that does not hear that keeps it",
    ),
    ErrorRule(
        code="no-read-quorum",
        kind=ClientError,
        pattern=r"\(SlowDownRead\)",
        definite=True,
        reason="503: too few drives could tell what is there; a conditional write asks that first, "
        "and nothing was written",
    ),
    ErrorRule(
        code="too-many-requests",
        kind=ClientError,
        pattern=r"\((TooManyRequests|SlowDown)\)",
        definite=True,
        reason="refused at the door: too many requests were waiting",
    ),
    ErrorRule(
        code="not-initialized",
        kind=ClientError,
        pattern=r"\(XMinio(Server|BucketMetadata|IAM)NotInitialized\)",
        definite=True,
        reason="refused at the door: the node has not found enough others yet",
    ),
    ErrorRule(
        code="lock-timeout",
        kind=ClientError,
        pattern=r"\(RequestTimeout\)",
        definite=False,
        reason="503: no majority of nodes gave the object's lock in time, or a drive took too "
        "long; the write may have been under way",
    ),
    ErrorRule(
        code="clock-skew",
        kind=ClientError,
        pattern=r"\(RequestTimeTooSkewed\)",
        definite=True,
        reason="refused at the door: the node's clock and the client's differ by over 15 minutes",
    ),
    ErrorRule(
        code="not-allowed",
        kind=ClientError,
        pattern=r"\((AccessDenied|InvalidAccessKeyId|SignatureDoesNotMatch)\)",
        definite=True,
        reason="refused at the door: the signature is of nobody who may, or of another request",
    ),
    ErrorRule(
        code="changed-on-the-way",
        kind=ClientError,
        pattern=r"\((XAmzContentSHA256Mismatch|XAmzContentChecksumMismatch|BadDigest)\)",
        definite=True,
        reason="the payload is not what its checksum is of; it was thrown away before any object "
        "was to show it",
    ),
    ErrorRule(
        code="no-space",
        kind=ClientError,
        pattern=r"\(XMinioStorageFull\)",
        definite=False,
        reason="507: drives are full, some of them perhaps only after others had taken the write",
    ),
    ErrorRule(
        code="internal-error",
        kind=ClientError,
        pattern=r"\(InternalError\)",
        definite=False,
        reason="500: the node does not know what happened either",
    ),
)
OPTIONS = {
    "reads": Setting(
        about="source (default): from the site that takes the writes; nearest: from the client's "
        "own node, whichever site it is in; in the workload session from the node drawn",
        values="source|nearest",
    ),
    "if-match": Setting(
        about="true (default): what was read and changed is written back only if nobody has "
        "written in between; false: whatever is there by then",
        values=TRUE_FALSE,
        workloads=frozenset({"set", "counter"}),
    ),
    "elements": Setting(
        about="apart (default): each element is an object; together: all are in one object, which "
        "an add reads, changes and writes back",
        values="apart|together",
        workloads=frozenset({"set"}),
    ),
    "failover": FAILOVER,
    "lease": LEASE,
}


def conflict() -> Definite:
    """The answer to who writes back what another has changed meanwhile."""
    return Definite("conflict", "the object was changed after it was read")


def writers(spec: ClientSpec) -> list[str]:
    """The nodes whose site takes the writes, the client's own first if it is one of them; else
    another for each node of the second site."""
    every = sorted(spec.endpoints)
    regions = spec.settings.get("_regions", {})
    source, _ = sites({name: regions.get(name, "") for name in every}, spec.settings)
    among = source if spec.home in source else every
    at = among.index(spec.home) % len(source)
    return source[at:] + source[:at]


def readers(spec: ClientSpec) -> list[str]:
    """The nodes that reads may go to, the first one first."""
    if spec.options.get("reads", "source") == "source":
        return writers(spec)
    return home_first(spec)


class ObjectClient:
    """One process. `self._source` is the node for writes, and for reads that lead to one;
    `self._reader` the node for others, mostly the same."""

    def __init__(self, spec: ClientSpec) -> None:
        self._spec = spec
        self._failover = fails_over(spec)
        self._if_match = is_on(spec.options, "if-match", default=True)
        self.node = ""
        self._source: Store
        self._reader: Store
        self._do: Mapping[str, Callable[[Invocation], Result]] = {}

    def open(self) -> None:
        """Have a node answer, so that a dead one is known before any request; two nodes where
        reads go to another site."""
        self.close()
        to, of = writers(self._spec), readers(self._spec)
        source = self._first(to)
        self._reader = source if of[0] == to[0] else self._first(of)
        self._source, self.node = source, source.node

    def _first(self, nodes: Sequence[str]) -> Store:
        """The first of `nodes`, or with `failover` the first that answers."""
        return first_that_serves(nodes[: None if self._failover else 1], self.store)[1]

    def store(self, node: str) -> Store:
        """The bucket through that node; NotConnected."""
        return Store(node, self._spec.endpoints[node]["db"], self._spec.timeout_s)

    def invoke(self, operation: Invocation) -> Result:
        """Do it once; after anything but an answer the node is to answer anew before the next."""
        if not self.node:
            self.open()
        try:
            return self._do[operation.f](operation)
        except Definite:
            raise
        except Exception:
            self.close()
            raise

    def close(self) -> None:
        """Forget the node."""
        self.node = ""

    def _rewrite(
        self, key: str, change: Callable[[bytes | None], bytes], *, checked: bool = True
    ) -> Result:
        """Read the object (None: there is none), and write what `change` makes of it; `checked`:
        if nobody has written in between, else a definite conflict."""
        try:
            seen = self._source.get(key)
        except Exception as error:
            raise NotCommitted(f"{type(error).__name__}: {error}") from error
        body = change(seen.body if seen else None)
        if not checked:
            self._source.put(key, body)
        elif not self._source.replace(key, body, seen.etag if seen else None):
            raise conflict()
        return Result(node=self._source.node)


class RegisterClient(ObjectClient):
    """A register is an object holding a decimal integer. Its ETag tells the value, so that a cas
    is one request: a value is compared as S3 compares contents."""

    def __init__(self, spec: ClientSpec) -> None:
        super().__init__(spec)
        self._do = {"read": self._read, "write": self._write, "cas": self._cas}

    def _read(self, operation: Invocation) -> Result:
        found = self._reader.get(f"register/{operation.key}")
        return Result(value=int(found.body) if found else None, node=self._reader.node)

    def _write(self, operation: Invocation) -> Result:
        self._source.put(f"register/{operation.key}", str(operation.value).encode())
        return Result(value=operation.value, node=self._source.node)

    def _cas(self, operation: Invocation) -> Result:
        known = None if operation.expected is None else etag_of(str(operation.expected).encode())
        body = str(operation.value).encode()
        if not self._source.replace(f"register/{operation.key}", body, known):
            raise Definite("cas-mismatch", "the object holds another value")
        return Result(value=operation.value, node=self._source.node)
