"""The NATS client: one connection to one server, and what nats-py's errors mean.

Every operation is sent once and has one deadline; what of nats-py is off for that stands in
`wire.py`. An operation of several requests says so where it is.

The server that a client is connected to hands its requests on to whoever has subscribed to them:
the leader of a stream, or for direct reads one of its replicas, drawn anew. Where nobody has, as
far as that server knows, it says at once that there are no responders, and the request went to
nobody. A leader answers reads without asking the others whether it still leads, and a replica
without asking whether it is behind
(https://github.com/nats-io/nats-architecture-and-design/blob/main/adr/ADR-31.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from nats import errors as nats
from nats.js import api
from nats.js import errors as js

from chaos.record.op import Invocation, Result
from chaos.systems._common import NOT_CONNECTED, UNANSWERED, tried_nodes
from chaos.systems._connections import first_that_serves
from chaos.systems._transactions import NOT_COMMITTED, NotCommitted
from chaos.systems.base import ClientSpec, Definite, ErrorRule
from chaos.systems.nats.streams import BUCKET_STREAM, key_subject
from chaos.systems.nats.wire import Line

NO_MESSAGE = 10037  # the server's code for a subject that has none
WRONG_SEQUENCE = 10071  # … for a message that was to follow another one than it would
SUBJECTS_MAX = 100_000  # of a stream that one answer lists
Found = tuple[int, int]  # the integer that a key holds, and its revision


class NotAcknowledged(Exception):
    """An element was taken, and whether its acknowledgement arrived is not known."""


ERRORS = (
    *NOT_CONNECTED,
    NOT_COMMITTED,
    ErrorRule(
        code="no-stream",
        kind=js.NoStreamResponseError,
        definite=True,
        reason="the server knows nobody who takes messages of that subject: it went to nobody",
    ),
    ErrorRule(
        code="no-responders",
        kind=nats.NoRespondersError,
        definite=True,
        reason="the server knows nobody who answers such requests: it went to nobody",
    ),
    ErrorRule(
        code="no-jetstream",
        kind=js.ServiceUnavailableError,
        pattern=r": code=None",
        definite=True,
        reason="the server knows nobody who answers requests of JetStream: it went to nobody",
    ),
    ErrorRule(
        code="no-leader",
        kind=js.ServiceUnavailableError,
        pattern=r"err_code=10008\b",
        definite=True,
        reason="the server knows no leader and refused before proposing anything",
    ),
    ErrorRule(
        code="not-leader",
        kind=js.ServiceUnavailableError,
        pattern=r"raft: not leader",
        definite=True,
        reason="the server had ceased to lead the stream, and proposed nothing",
    ),
    ErrorRule(
        code="no-resources",
        kind=js.APIError,
        pattern=r"err_code=(10023|10047)\b",
        definite=False,
        reason="the leader has no room; the others may have stored what was proposed before that",
    ),
    ErrorRule(
        code="store-failed",
        kind=js.APIError,
        pattern=r"err_code=10077\b",
        definite=False,
        reason="the leader could not store what was agreed; the others may have",
    ),
    ErrorRule(
        code="wrong-sequence",
        kind=js.BadRequestError,
        pattern=r"err_code=10071\b",
        definite=True,
        reason="the key was written since; the message was refused, and changes nothing",
    ),
    ErrorRule(
        code="no-such-stream",
        kind=js.NotFoundError,
        pattern=r"err_code=10059\b",
        definite=True,
        reason="the server knows no such stream, and did nothing",
    ),
    ErrorRule(
        code="no-such-consumer",
        kind=js.NotFoundError,
        pattern=r"err_code=10014\b",
        definite=True,
        reason="the server knows no such consumer, and did nothing",
    ),
    ErrorRule(
        code="too-large",
        kind=nats.MaxPayloadError,
        definite=True,
        reason="longer than the server takes: nats-py did not send it",
    ),
    ErrorRule(
        code="closed",
        kind=nats.ConnectionClosedError,
        definite=True,
        reason="the connection had ended before; over a closed one nats-py sends nothing",
    ),
    ErrorRule(
        code="not-acknowledged",
        kind=NotAcknowledged,
        definite=False,
        reason="an element was taken; whether it is gone from the queue is not known",
    ),
    *UNANSWERED,
)
BROKEN = (OSError, TimeoutError, nats.ConnectionClosedError, NotCommitted, NotAcknowledged)


class NatsClient:
    """One process: talks to its home node, or with `failover: true` to the first that answers."""

    def __init__(self, spec: ClientSpec) -> None:
        self._spec = spec
        self._direct = spec.options.get("reads", "leader") == "direct"
        self.node = ""
        self._line: Line | None = None
        self._do: Mapping[str, Callable[[Line, Invocation], Result]] = {}

    def open(self) -> None:
        """Connect; the server answers a ping, so that a dead one is known before any request."""
        self.close()
        self.node, self._line = first_that_serves(tried_nodes(self._spec), self._opened)

    def _opened(self, node: str) -> Line:
        return Line(self._spec.endpoints[node]["db"], self._spec.timeout_s)

    def invoke(self, operation: Invocation) -> Result:
        """Do it once; a broken connection is dropped, and made anew by the next call."""
        if self._line is None:
            self.open()
        assert self._line is not None
        try:
            return self._done(self._line, operation)
        except BROKEN:
            self.close()
            raise

    def _done(self, line: Line, operation: Invocation) -> Result:
        line.begin()
        return self._do[operation.f](line, operation)

    def close(self) -> None:
        """Drop the connection."""
        line, self._line = self._line, None
        if line is not None:
            line.close()


class Keys(NatsClient):
    """Keys of the bucket below a word of their own, each holding a decimal integer."""

    kind = "register"

    def _found(self, line: Line, key: object, *, direct: bool) -> Found | None:
        """What the key holds, and its revision; None: it was never written."""
        subject = key_subject(self.kind, key)
        try:
            message = line.run(line.js.get_last_msg(BUCKET_STREAM, subject, direct=direct))
        except js.NotFoundError as error:
            if error.err_code in (None, NO_MESSAGE):  # a direct answer has no code but 404
                return None
            raise
        return int(message.data or b"0"), int(message.seq or 0)

    def _seen(self, line: Line, key: object) -> Found | None:
        """The same before a write, asked of the leader. NotCommitted: that was all, and it
        failed."""
        try:
            return self._found(line, key, direct=False)
        except Exception as error:
            raise NotCommitted(f"{type(error).__name__}: {error}") from error

    def _put(self, line: Line, key: object, value: object) -> None:
        line.run(line.js.publish(key_subject(self.kind, key), str(value).encode()))

    def _replace(self, line: Line, key: object, seen: Found | None, value: int) -> bool:
        """Write, if the key has still the revision that was seen; False if it has not."""
        revision = str(seen[1] if seen else 0)
        headers = {api.Header.EXPECTED_LAST_SUBJECT_SEQUENCE.value: revision}
        subject = key_subject(self.kind, key)
        try:
            line.run(line.js.publish(subject, str(value).encode(), headers=headers))
        except js.BadRequestError as error:
            if error.err_code == WRONG_SEQUENCE:
                return False
            raise
        return True


class RegisterClient(Keys):
    """A register is a key. A write is one request, and so is a read."""

    def __init__(self, spec: ClientSpec) -> None:
        super().__init__(spec)
        self._do = {"read": self._read, "write": self._write, "cas": self._cas}

    def _read(self, line: Line, operation: Invocation) -> Result:
        found = self._found(line, operation.key, direct=self._direct)
        return Result(value=found[0] if found else None, node=self.node)

    def _write(self, line: Line, operation: Invocation) -> Result:
        self._put(line, operation.key, operation.value)
        return Result(value=operation.value, node=self.node)

    def _cas(self, line: Line, operation: Invocation) -> Result:
        """NATS compares revisions, not values: a read, then a write that is to follow what was
        read. Where nothing is expected it is to be the first, and nothing is read."""
        seen = None
        if operation.expected is not None:
            seen = self._seen(line, operation.key)
            if seen is None or seen[0] != operation.expected:
                raise Definite("cas-mismatch", "the key holds another value")
        if not self._replace(line, operation.key, seen, int(operation.value or 0)):
            raise Definite("cas-mismatch", "the key was written since it was read")
        return Result(value=operation.value, node=self.node)


class CounterClient(Keys):
    """A counter is a key. NATS 2.10 knows no increment: an add reads the key, and then replaces
    the revision that it read; an add that another came before is a definite `conflict`."""

    kind = "counter"

    def __init__(self, spec: ClientSpec) -> None:
        super().__init__(spec)
        self._do = {"add": self._add, "read": self._read}

    def _add(self, line: Line, operation: Invocation) -> Result:
        seen = self._seen(line, operation.key)
        total = (seen[0] if seen else 0) + (operation.value or 0)
        if not self._replace(line, operation.key, seen, total):
            raise Definite("conflict", "the key was written after it was read")
        return Result(node=self.node)

    def _read(self, line: Line, operation: Invocation) -> Result:
        found = self._found(line, operation.key, direct=self._direct)
        return Result(value=found[0] if found else 0, node=self.node)


class SetClient(Keys):
    """An element is a key. The whole set is read in one request, which the leader answers: the
    subjects of the bucket's stream, up to 100,000 of them."""

    kind = "set"

    def __init__(self, spec: ClientSpec) -> None:
        super().__init__(spec)
        self._do = {"add": self._add, "read": self._read}

    def _add(self, line: Line, operation: Invocation) -> Result:
        self._put(line, operation.value, operation.value)
        return Result(value=operation.value, node=self.node)

    def _read(self, line: Line, operation: Invocation) -> Result:
        subjects = key_subject(self.kind, ">")
        info = line.run(line.js.stream_info(BUCKET_STREAM, subjects_filter=subjects))
        if info.cluster is not None and not info.cluster.leader:
            raise Definite("no-leader", "a replica answered, which knows no leader")
        found = info.state.subjects or {}
        if len(found) >= SUBJECTS_MAX:
            raise Definite("too-many", f"one answer lists {SUBJECTS_MAX} elements at most")
        elements = sorted(int(subject.rpartition(".")[2]) for subject in found)
        return Result(payload="[" + ",".join(map(str, elements)) + "]", node=self.node)
