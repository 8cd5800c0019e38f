"""One kept HTTP connection to one node, which never connects again by itself.

`http.client` would do so when a request is sent over a closed connection (`auto_open`): that is
off. After an OSError or an HTTPException the connection is of no more use.
"""

from __future__ import annotations

import contextlib
import http.client
import json
from collections.abc import Mapping
from typing import Any

from chaos.systems._common import UNANSWERED
from chaos.systems.base import Address, ErrorRule, NotConnected

NO_ANSWER = (
    *UNANSWERED,
    ErrorRule(
        code="broken-answer",
        kind=http.client.HTTPException,
        definite=False,
        reason="the answer was cut short; the operation may have happened",
    ),
)
NO_HEADERS: Mapping[str, str] = {}


class Connection:
    """`timeout_s` bounds connecting and every wait for bytes."""

    def __init__(self, address: Address, timeout_s: float) -> None:
        self._http = http.client.HTTPConnection(*address, timeout=timeout_s)
        self._http.auto_open = 0
        try:
            self._http.connect()
        except OSError as error:
            raise NotConnected(f"connecting to {address[0]}:{address[1]}: {error}") from error

    def request(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] = NO_HEADERS
    ) -> tuple[int, Any]:
        """(status, answer) of one request; `body` and answer are JSON, an answer that is none is
        given as {"message": its text}."""
        status, text = self.fetch(method, path, body, headers)
        try:
            return status, json.loads(text)
        except ValueError:
            return status, {"message": text.decode(errors="replace")[:200]}

    def fetch(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] = NO_HEADERS
    ) -> tuple[int, bytes]:
        """The same with an answer of any kind."""
        if body is None:
            self._http.request(method, path, headers=headers)
        else:
            typed = {"Content-Type": "application/json", **headers}
            self._http.request(method, path, json.dumps(body), headers=typed)
        answer = self._http.getresponse()
        return answer.status, answer.read()

    def close(self) -> None:
        """Drop the connection."""
        with contextlib.suppress(OSError):
            self._http.close()

    def __del__(self) -> None:  # an observer has no other end than being forgotten
        self.close()
