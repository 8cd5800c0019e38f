"""Redis' transactions: one script each, which nothing interrupts, with all its reads and writes.

In a cluster all keys of a script are of one slot: accounts are one key; micro-operations are of
several, and no workload of theirs runs there.

MULTI would do for micro-operations, but not for a transfer: it answers a read only when all is
done. A script is checked before its first write (read-only, too few replicas, memory, disk), and no
more after it, so that it is done whole or not at all (Redis' script.c,
scriptVerifyWriteCommandAllow).
"""

from __future__ import annotations

from chaos.record.op import Invocation, Result
from chaos.systems._transactions import (
    accounts_of,
    answered,
    balances,
    micros_of,
    transfer_of,
)
from chaos.systems.base import ClientSpec, Definite
from chaos.systems.redis.client import RedisClient

ACCOUNTS = "accounts"
# KEYS: the key of each micro-operation. ARGV: "r" to read, or what to append or write.
LISTS = """
local read = {}
for i, key in ipairs(KEYS) do
  if ARGV[i] == 'r' then read[#read + 1] = redis.call('LRANGE', key, 0, -1)
  else redis.call('RPUSH', key, ARGV[i]) end
end
return read
"""
# An answer of Redis ends at its first nil: "" stands for a register that is not there.
REGISTERS = """
local read = {}
for i, key in ipairs(KEYS) do
  if ARGV[i] == 'r' then read[#read + 1] = redis.call('GET', key) or ''
  else redis.call('SET', key, ARGV[i]) end
end
return read
"""
OPEN = """
for i = 1, #ARGV, 2 do redis.call('HSETNX', KEYS[1], ARGV[i], ARGV[i + 1]) end
return 1
"""
TRANSFER = """
local amount = tonumber(ARGV[3])
if tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or 0) < amount then return 0 end
redis.call('HINCRBY', KEYS[1], ARGV[1], -amount)
redis.call('HINCRBY', KEYS[1], ARGV[2], amount)
return 1
"""


class MicroClient(RedisClient):
    """Micro-operations on registers: string keys."""

    prefix, script = "", REGISTERS

    def __init__(self, spec: ClientSpec) -> None:
        super().__init__(spec)
        self._do = {"txn": self._txn}

    def _txn(self, operation: Invocation) -> Result:
        micros = micros_of(operation)
        keys = [f"{self.prefix}{key}" for _, key, _ in micros]
        values = ["r" if kind == "r" else str(value) for kind, _, value in micros]
        found = self._ask(keys[0], "EVAL", self.script, len(keys), *keys, *values)
        if any(kind != "r" for kind, _, _ in micros):
            self._replicated()
        reads = [
            [int(element) for element in one]
            if isinstance(one, list)
            else int(one)
            if one
            else None
            for one in found
        ]
        return answered(micros, reads, self.node)


class ListsClient(MicroClient):
    """The same on lists."""

    prefix, script = "list/", LISTS


class BankClient(RedisClient):
    """Accounts are the fields of one hash."""

    def __init__(self, spec: ClientSpec) -> None:
        super().__init__(spec)
        self._do = {"open": self._open, "transfer": self._transfer, "read": self._balances}

    def _open(self, operation: Invocation) -> Result:
        pairs = [text for item in accounts_of(operation).items() for text in map(str, item)]
        self._ask(ACCOUNTS, "EVAL", OPEN, 1, ACCOUNTS, *pairs)
        self._replicated()
        return Result(node=self.node)

    def _transfer(self, operation: Invocation) -> Result:
        asked = map(str, transfer_of(operation))
        if self._ask(ACCOUNTS, "EVAL", TRANSFER, 1, ACCOUNTS, *asked) != 1:
            raise Definite("insufficient", "the account holds less than the amount")
        self._replicated()
        return Result(node=self.node)

    def _balances(self, operation: Invocation) -> Result:
        found = [int(text) for text in self._ask(ACCOUNTS, "HGETALL", ACCOUNTS)]
        return balances(dict(zip(found[::2], found[1::2], strict=True)), self.node)
