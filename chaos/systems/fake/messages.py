"""Queues and logs of the system in memory: as they should be, unless asked to lie."""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from typing import Any

from chaos.record.op import Invocation, Result
from chaos.systems._messages import (
    Message,
    Places,
    answered,
    logs_of,
    micros_of,
    polled,
    sent,
)

POLLED_MAX = 100  # messages of one log that one poll shows
AGAIN = 2  # how many messages a poll that lies shows once more


class Queues:
    """Elements by key, first in, first out."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._now: dict[str | None, deque[int]] = defaultdict(deque)

    def create(self, operation: Invocation, node: str, lie: str) -> Result:
        """Every queue is there."""
        return Result(node=node)

    def enqueue(self, operation: Invocation, node: str, lie: str) -> Result:
        """Put the value in."""
        with self._lock:
            if lie != "lose-acked" and operation.value is not None:
                self._now[operation.key].append(operation.value)
        return Result(value=operation.value, node=node)

    def dequeue(self, operation: Invocation, node: str, lie: str) -> Result:
        """Take the first out; None: there is none, or so it says."""
        with self._lock:
            queue = self._now[operation.key]
            if not queue or lie == "stale-reads":
                return Result(node=node)
            value = queue.popleft()
            if lie == "duplicates":
                queue.appendleft(value)
            return Result(value=value, node=node)


class Logs:
    """Messages by log, and one group of consumers. `lock` is held by who uses the rest."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.now: dict[str, list[int | None]] = defaultdict(list)  # None: what was lost
        self.group = Places()
        self._members: list[Consumer] = []

    def join(self, member: Consumer, logs: Iterable[str]) -> None:
        """Deal the logs out among the members, this one among them."""
        if member not in self._members:
            self._members.append(member)
        self.group.assign(logs)
        self._deal()

    def leave(self, member: Consumer) -> None:
        """Deal the logs out among the others."""
        if member in self._members:
            self._members.remove(member)
            self._deal()

    def _deal(self) -> None:
        for at, member in enumerate(self._members):
            member.dealt = list(self.group.all())[at :: len(self._members)]


class Consumer:
    """What one client does with the logs, and where it stands in them."""

    def __init__(self, logs: Logs) -> None:
        self._logs = logs
        self._places = Places()
        self.dealt: list[str] | None = None  # by the group; None: it is not in it

    def create(self, operation: Invocation, node: str, lie: str) -> Result:
        """Every log is there."""
        return Result(node=node)

    def assign(self, operation: Invocation, node: str, lie: str) -> Result:
        """Poll these from now on, by itself."""
        self.leave()
        self._places.assign(logs_of(operation))
        return Result(node=node)

    def subscribe(self, operation: Invocation, node: str, lie: str) -> Result:
        """Poll what the group gives it."""
        with self._logs.lock:
            self._places.assign([])
            self._logs.join(self, logs_of(operation))
        return Result(node=node)

    def leave(self) -> None:
        """Be in no group."""
        with self._logs.lock:
            self._logs.leave(self)
            self.dealt = None

    def send(self, operation: Invocation, node: str, lie: str) -> Result:
        """Append the value."""
        with self._logs.lock:
            offset = self._append(str(operation.key), operation.value, lie)
        return sent(offset, operation.value, node)

    def poll(self, operation: Invocation, node: str, lie: str) -> Result:
        """What comes next."""
        with self._logs.lock:
            return polled(self._shown(lie), node)

    def txn(self, operation: Invocation, node: str, lie: str) -> Result:
        """Its polls, which do not see its own sends, and then these, at one moment."""
        micros = micros_of(operation)
        answers: list[Any] = [None] * len(micros)
        with self._logs.lock:
            for at, micro in enumerate(micros):
                if micro[0] == "poll":
                    answers[at] = self._shown(lie)
            for at, micro in enumerate(micros):
                if micro[0] == "send":
                    answers[at] = self._append(micro[1], micro[2], lie)
        return answered(micros, answers, node)

    def _append(self, log: str, value: int | None, lie: str) -> int:
        messages = self._logs.now[log]
        messages.append(None if lie == "lose-acked" else value)
        if lie == "duplicates":
            messages.append(value)
        return len(messages) - 1 - (lie == "duplicates")

    def _shown(self, lie: str) -> Mapping[str, list[Message]]:
        """The next messages of each of its logs, or once more the last before them."""
        if self.dealt is None:
            places, standing = self._places, self._places.next()
        else:
            places = self._logs.group
            standing = {log: at for log, at in places.all().items() if log in self.dealt}
        shown = {}
        for log, at in standing.items():
            messages = self._logs.now[log]
            until = min(len(messages), at + POLLED_MAX)
            again = max(0, at - AGAIN) if lie == "stale-reads" else at
            told = [(offset, messages[offset]) for offset in range(again, until)]
            shown[log] = [(offset, value) for offset, value in told if value is not None]
            if until > at:
                places.passed(log, until - 1)
        return shown
