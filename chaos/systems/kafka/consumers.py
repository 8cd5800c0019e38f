"""Polling: what a client was assigned, from where it stands, or what its group deals to it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from chaos.systems._deadline import within
from chaos.systems._messages import Places, not_assigned
from chaos.systems.base import ClientSpec, Definite
from chaos.systems.kafka.driver import (
    Heard,
    commits_first,
    common,
    consuming,
    end,
    error_of,
)

POLLED_MAX = 500  # messages of one poll
NEWS_S = 0.1  # how long a poll waits for the first


class NothingPolled(Exception):
    """A poll got no answer, or one that it could not use."""


class Polls:
    """What one client polls. Its consumer is made when it is first told what to poll."""

    def __init__(self, spec: ClientSpec) -> None:
        self._spec = spec
        self._places = Places()
        self._consumer: Consumer | None = None
        self._heard = Heard()
        self._group = False
        self._subscribed: set[str] = set()
        self._passed: dict[str, int] = {}  # of the group's logs: what the polls so far have shown
        self._dealt_to: Any = None  # this client, as the member that the group last dealt logs to
        self._member: Any = None  # the same when the first of what has passed was polled

    def assign(self, logs: Sequence[str]) -> None:
        """Poll these, each from where this client stood in it, others from their beginning."""
        consumer = self._made(group=False)
        self._places.assign(logs)
        consumer.assign([TopicPartition(log, 0, at) for log, at in self._places.all().items()])

    def places(self) -> Mapping[str, int]:
        """Where this client stands in the logs that it was assigned."""
        return self._places.all()

    def back_to(self, places: Mapping[str, int]) -> None:
        """Poll again what came since it stood there. In a group, where something did: leave it, and
        it is dealt out again."""
        if self._group:
            if self._passed:
                self.close()
            return
        for log, at in places.items():
            self._places.passed(log, at - 1)
        if places:
            self.assign(list(places))

    def subscribe(self, logs: Sequence[str]) -> None:
        """Poll those of these that the group deals to this client, from where the group is."""
        again = self._group and self._subscribed == set(logs)
        consumer = self._made(group=True)
        if again and not consumer.assignment():
            return  # it waits for the group, which would have to begin anew with dealing
        self._places.assign([])
        self._passed = {}
        self._subscribed = set(logs)
        consumer.subscribe(list(logs), on_assign=self._dealt)

    def poll(self, end_s: float, *, keep: bool = True) -> Mapping[str, Sequence[tuple[int, int]]]:
        """What came next, by log. `keep`: the group's next member begins behind what the poll
        before this one has shown, or, where that is committed first, behind what this one shows.
        `Definite` where there is nothing to poll, or not yet; NothingPolled."""
        consumer = self._consumer
        if consumer is None or not (self._group or self._places.next()):
            raise not_assigned()
        first = commits_first(self._spec)
        if self._group and keep and not first:
            self._store(consumer)
        try:
            messages = self._news(consumer, end_s)
            shown: dict[str, list[tuple[int, int]]] = {}
            for message in messages:
                log, offset, value = _told(message)
                shown.setdefault(log, []).append((offset, value))
                if self._group:
                    self._passed[log] = offset + 1
                else:
                    self._places.passed(log, offset)
            if not shown:
                self._see_that_nothing_is_there(consumer, end_s)
            elif self._group and keep and first:
                self._commit(consumer, end_s)
        except KafkaException as error:
            why = error_of(error).str()
            raise NothingPolled(f"{why}; {self._heard.last}".rstrip("; ")) from error
        return shown

    @property
    def passed(self) -> Mapping[str, int]:
        """Where the group is to go on, as far as this client's polls have shown what is before."""
        return dict(self._passed)

    @property
    def member(self) -> Any:
        """As which member of the group this client polled that, for transactions: if the group has
        dealt anew since, others may have polled it too, and its coordinator refuses."""
        return self._member

    def went_on(self) -> None:
        """The group has gone on behind what has passed."""
        self._passed = {}

    def close(self) -> None:
        """Leave the group, end the consumer."""
        consumer, self._consumer = self._consumer, None
        self._group = False
        self._passed = {}
        if consumer is not None:
            end(consumer.close)

    def _dealt(self, consumer: Consumer, _: Sequence[TopicPartition]) -> None:
        """While this is called, within a poll, the group's generation is that of what was dealt. It
        is called within `close` too, where the driver would never answer, nor let any thread run.
        """
        if consumer is self._consumer:
            self._dealt_to = consumer.consumer_group_metadata()

    def _made(self, *, group: bool) -> Consumer:
        if self._consumer is None or group != self._group:
            self.close()
            conf = {**common(self._spec, self._heard), **consuming(self._spec, group=group)}
            self._consumer = Consumer(conf)
            self._group = group
        return self._consumer

    def _store(self, consumer: Consumer) -> None:
        """What the last poll showed has been shown: from now on it may be committed."""
        dealt = {partition.topic for partition in consumer.assignment()}
        passed = [TopicPartition(log, 0, at) for log, at in self._passed.items() if log in dealt]
        self._passed = {}
        if passed:
            with suppress(KafkaException):  # taken away in between: others will see it once more
                consumer.store_offsets(offsets=passed)

    def _commit(self, consumer: Consumer, end_s: float) -> None:
        """Have the group go on behind what was polled. NothingPolled or KafkaException if its
        coordinator does not say that it does; it may all the same."""
        offsets = [TopicPartition(log, 0, at) for log, at in self._passed.items()]
        self._passed = {}
        left_s = end_s - time.monotonic()
        try:
            done = within(left_s, lambda: consumer.commit(offsets=offsets, asynchronous=False))
        except TimeoutError as error:
            raise NothingPolled("the group's coordinator did not confirm it in time") from error
        for each in done or []:
            if each.error:
                raise KafkaException(each.error)

    def _news(self, consumer: Consumer, end_s: float) -> list[Message]:
        """The next messages; of a group that has not dealt yet, only when it has."""
        first = consumer.poll(NEWS_S)
        while first is None and self._group and not consumer.assignment():
            if (left_s := end_s - time.monotonic()) <= 0:
                why = f"nothing by its group, in time; {self._heard.last}"
                raise Definite("not-dealt", why.rstrip("; "))
            first = consumer.poll(min(NEWS_S, left_s))
        if first is None:
            return []
        if not self._passed:
            self._member = self._dealt_to
        return [first, *consumer.consume(POLLED_MAX - 1, timeout=0)]

    def _see_that_nothing_is_there(self, consumer: Consumer, end_s: float) -> None:
        """Ask the leader of each log for its end: a driver that reaches nobody also says nothing.
        KafkaException if one does not answer."""
        for partition in consumer.assignment():
            left_s = max(0.01, end_s - time.monotonic())
            consumer.get_watermark_offsets(TopicPartition(partition.topic, 0), timeout=left_s)


def _told(message: Message) -> tuple[str, int, int]:
    """Log, offset, value. KafkaException if it is an error."""
    if (error := message.error()) is not None:
        raise KafkaException(error)
    log, offset, value = message.topic(), message.offset(), message.value()
    assert log is not None
    assert offset is not None
    assert value is not None
    return log, offset, int(value)
