"""Which Cassandra client speaks which workload, and what an experiment may tell it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from chaos.systems._common import FAILOVER, Setting
from chaos.systems.cassandra.client import CassandraClient, RegisterClient, SetClient
from chaos.systems.cassandra.counter import CounterClient
from chaos.systems.cassandra.session import SessionClient

CLIENTS: Mapping[str, type[CassandraClient]] = {
    "register": RegisterClient,
    "set": SetClient,
    "counter": CounterClient,
    "session": SessionClient,
}
_ANY = "ONE|TWO|THREE|QUORUM|ALL|LOCAL_ONE|LOCAL_QUORUM"
_TIMED = frozenset({"register", "set", "session"})
OPTIONS = {
    "read-consistency": Setting(
        about="how many replicas must answer a read: ONE, QUORUM, ALL, LOCAL_QUORUM, …; SERIAL and "
        "LOCAL_SERIAL: in the order of lightweight transactions. Default QUORUM, with writes: lwt "
        "SERIAL",
        values=f"{_ANY}|EACH_QUORUM|SERIAL|LOCAL_SERIAL",
    ),
    "write-consistency": Setting(
        about="how many replicas must acknowledge a write, and of a lightweight transaction its "
        "commit; default QUORUM",
        values=f"{_ANY}|EACH_QUORUM|ANY",
    ),
    "serial-consistency": Setting(
        about="among whom lightweight transactions are decided: SERIAL (default), all replicas; "
        "LOCAL_SERIAL, those of the coordinator's region",
        values="SERIAL|LOCAL_SERIAL",
        workloads=_TIMED,
    ),
    "writes": Setting(
        about="plain (default): the highest timestamp wins; lwt: every write is a lightweight "
        "transaction",
        values="plain|lwt",
        workloads=_TIMED,
    ),
    "timestamps": Setting(
        about="whose clock gives a plain write its timestamp: server (default), the coordinator's; "
        "client, as the driver does by itself",
        values="server|client",
        workloads=_TIMED,
    ),
    "elements": Setting(
        about="what a set is kept in: rows (default) of one partition, or one row's collection",
        values="rows|collection",
        workloads=frozenset({"set"}),
    ),
    "failover": FAILOVER,
}


def option_conflicts(options: Mapping[str, Any], workload: str) -> Iterable[str]:
    """What is wrong with options each of which could be meant."""
    if workload == "counter" and "SERIAL" in str(options.get("read-consistency", "")):
        yield "client.read-consistency: counters know no lightweight transactions"
    if options.get("writes") == "lwt" and options.get("timestamps") == "client":
        yield "client.timestamps: a lightweight transaction takes its timestamp from its ballot"
    if options.get("writes") == "lwt" and options.get("write-consistency") == "ANY":
        yield "client.write-consistency: a lightweight transaction cannot be committed at ANY"
