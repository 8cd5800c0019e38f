"""A lock that expires, and a document that its holders guard with its tokens.

The lock is the one of https://redis.io/docs/latest/develop/clients/patterns/distributed-locks/ on a
single primary, SET NX PX and compare-and-delete, with what that page leaves to the user: a token
that grows with every holder. It counts in a key of its own, which outlives the lock; both have the
hash tag of the lock's name, so that in a cluster one script may have both.
"""

from __future__ import annotations

from typing import Any

from chaos.record.op import Invocation, Result
from chaos.systems._locks import held, lease_s, not_held, stale_token
from chaos.systems.base import ClientSpec
from chaos.systems.redis.client import RedisClient

# Scripts are replicated by what they did: the replica is told when the lock expires, not after how
# long (Redis' t_string.c: SET … PX goes out as PXAT).
ACQUIRE = """
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
local token = redis.call('INCR', KEYS[2])
redis.call('SET', KEYS[1], token, 'NX', 'PX', ARGV[1])
return token
"""
RELEASE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
"""
# ARGV: the token, "" for none; to store, the new text. 0: the document has met a higher token.
_MEET = """
if ARGV[1] ~= '' then
  local met = tonumber(redis.call('HGET', KEYS[1], 'token') or ARGV[1])
  if tonumber(ARGV[1]) < met then return 0 end
  redis.call('HSET', KEYS[1], 'token', ARGV[1])
end
"""
LOAD = f"{_MEET}return redis.call('HGET', KEYS[1], 'text') or '[]'"
STORE = f"{_MEET}redis.call('HSET', KEYS[1], 'text', ARGV[2]) return 1"


class LockClient(RedisClient):
    """Locks by name; `value` is the token of the holder."""

    def __init__(self, spec: ClientSpec) -> None:
        super().__init__(spec)
        self._lease_ms = max(1, round(lease_s(spec.options) * 1000))
        self._do = {"acquire": self._acquire, "release": self._release}

    def _acquire(self, operation: Invocation) -> Result:
        lock, tokens = f"lock/{{{operation.key}}}", f"token/{{{operation.key}}}"
        token = int(self._ask(lock, "EVAL", ACQUIRE, 2, lock, tokens, self._lease_ms))
        if token == 0:
            raise held()
        self._replicated()
        return Result(value=token, node=self.node)

    def _release(self, operation: Invocation) -> Result:
        lock = f"lock/{{{operation.key}}}"
        if self._ask(lock, "EVAL", RELEASE, 1, lock, str(operation.value)) != 1:
            raise not_held()
        self._replicated()
        return Result(node=self.node)


class DocumentClient(RedisClient):
    """Documents by name: hashes of their text and the highest token that they have met."""

    def __init__(self, spec: ClientSpec) -> None:
        super().__init__(spec)
        self._do = {"load": self._load, "store": self._store}

    def _load(self, operation: Invocation) -> Result:
        text = self._under(operation, LOAD)
        return Result(payload=text.decode(), node=self.node)

    def _store(self, operation: Invocation) -> Result:
        self._under(operation, STORE, operation.payload or "[]")
        return Result(node=self.node)

    def _under(self, operation: Invocation, script: str, *text: str) -> Any:
        key, token = f"document/{operation.key}", operation.value
        told = "" if token is None else str(token)
        answer = self._ask(key, "EVAL", script, 1, key, told, *text)
        if answer == 0:
            raise stale_token()
        if operation.f == "store" or told:
            self._replicated()
        return answer
