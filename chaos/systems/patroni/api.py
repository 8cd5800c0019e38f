"""Patroni's REST API, spoken by Python's own http.client: one request, one connection, no retry."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

from chaos.systems.base import Address
from chaos.systems.postgres.client import FAILURES as POSTGRES_FAILURES

TIMEOUT_S = 3.0


class PatroniRefuses(Exception):
    """An answer other than 2xx, in Patroni's own words."""


FAILURES = (*POSTGRES_FAILURES, OSError, http.client.HTTPException, PatroniRefuses, ValueError)


def call(
    address: Address,
    method: str,
    path: str,
    body: Mapping[str, Any] | None = None,
    timeout_s: float = TIMEOUT_S,
) -> tuple[str, datetime]:
    """One request; the answer's text, and the time that the node said it was (whole seconds)."""
    connection = http.client.HTTPConnection(*address, timeout=timeout_s)
    try:
        connection.request(method, path, None if body is None else json.dumps(body))
        answer = connection.getresponse()
        text = answer.read().decode(errors="replace").strip()
        if answer.status // 100 != 2:
            raise PatroniRefuses(f"{method} {path}: {answer.status} {text[:200]}")
        return text, parsedate_to_datetime(answer.headers["Date"])
    finally:
        connection.close()


def status(address: Address, timeout_s: float = TIMEOUT_S) -> tuple[dict[str, Any], datetime]:
    """GET /patroni: what the node's Patroni thinks of itself, and its time."""
    text, now = call(address, "GET", "/patroni", timeout_s=timeout_s)
    found: dict[str, Any] = json.loads(text)
    return found, now


def words(found: Mapping[str, Any], now: datetime) -> str:
    """A status as a note: `Patroni: primary, running, etcd seen 0 s ago`."""
    said = [str(found.get("role", "no role")), str(found.get("state", "no state"))]
    if found.get("pause"):
        said.append("failover paused")
    if found.get("failsafe_mode_is_active"):
        said.append("failsafe mode is active")
    if found.get("cluster_unlocked"):
        said.append("no leader in etcd")
    if seen := found.get("dcs_last_seen"):
        said.append(f"etcd seen {max(0, int(now.timestamp()) - int(seen))} s ago")
    return "Patroni: " + ", ".join(said)
