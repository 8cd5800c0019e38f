"""Sets in an object store, which has no such thing.

A set is one object for each element (the option `elements: apart`, the default), which is how to
add to something without reading it; a read lists them, a request for each thousand, which together
are no snapshot. Or it is one object with all elements (`together`), and every add reads it, changes
it and writes it back, as programs do that keep an index or a manifest there.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from chaos.record.op import Invocation, Result
from chaos.systems.base import ClientSpec
from chaos.systems.objectstore.client import ObjectClient

APART = "set/"
TOGETHER = "set"


def _listed(elements: Iterable[int]) -> str:
    return json.dumps(list(elements), separators=(",", ":"))


class SetClient(ObjectClient):
    """Objects below `set/`, or the object `set`."""

    def __init__(self, spec: ClientSpec) -> None:
        super().__init__(spec)
        if spec.options.get("elements", "apart") == "apart":
            self._do = {"add": self._add, "read": self._list}
        else:
            self._do = {"add": self._extend, "read": self._read}

    def _add(self, operation: Invocation) -> Result:
        self._source.put(f"{APART}{operation.value}", b"")
        return Result(value=operation.value, node=self._source.node)

    def _list(self, operation: Invocation) -> Result:
        names = self._reader.etags(APART)
        found = sorted(int(name.removeprefix(APART)) for name in names)
        return Result(payload=_listed(found), node=self._reader.node)

    def _extend(self, operation: Invocation) -> Result:
        def extended(body: bytes | None) -> bytes:
            return _listed([*json.loads(body or b"[]"), operation.value or 0]).encode()

        done = self._rewrite(TOGETHER, extended, checked=self._if_match)
        return Result(value=operation.value, node=done.node)

    def _read(self, operation: Invocation) -> Result:
        found = self._reader.get(TOGETHER)
        return Result(payload=found.body.decode() if found else "[]", node=self._reader.node)
