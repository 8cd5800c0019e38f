"""Which packets are dropped, for which fault: the bookkeeping of the firewall, and its commands.

Faults overlap: a packet is dropped while any of them wants it dropped. Standard library only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

LEASE_S = 3
TABLE = "inet aftershock"
ALL, PORTS = "cut", "cut_ports"  # the two sets

# (from, to): every packet of this way; (from, to, "tcp", "5432"): those from or to that port
Element = tuple[str, ...]


@dataclass(slots=True, eq=False)
class Cut:
    """What one fault drops; one that flaps drops nothing while it is not `active`."""

    elements: frozenset[Element]
    active: bool = True


def elements(ways: Iterable[Sequence[str]], ports: Iterable[int] = ()) -> frozenset[Element]:
    """Everything on these ways (from, to), or only what has one of `ports` at either end."""
    numbers = [(kind, str(port)) for port in ports for kind in ("tcp", "udp")]
    if not numbers:
        return frozenset((a, b) for a, b in ways)
    return frozenset((a, b, *number) for a, b in ways for number in numbers)


class Cuts:
    """The cuts of all faults."""

    def __init__(self) -> None:
        self._by_fault: dict[str, Cut] = {}

    def put(self, fault: str, found: frozenset[Element]) -> Cut:
        """Remember what `fault` drops, in place of what it dropped."""
        self._by_fault[fault] = cut = Cut(found)
        return cut

    def take(self, fault: str) -> Cut:
        """Forget it; one that is not there drops nothing."""
        return self._by_fault.pop(fault, None) or Cut(frozenset())

    def there(self, cut: Cut) -> bool:
        """Whether it has not been taken or replaced."""
        return any(other is cut for other in self._by_fault.values())

    def clear(self) -> None:
        """Forget all."""
        self._by_fault.clear()

    def dropped(self) -> frozenset[Element]:
        """What is to be dropped now."""
        return frozenset().union(*(c.elements for c in self._by_fault.values() if c.active))

    def shared(self, cut: Cut) -> list[Element]:
        """Those of its elements that some other fault drops too, now or when it flaps back."""
        others = frozenset().union(
            *(c.elements for c in self._by_fault.values() if c is not cut)
        )  # fmt: skip
        return sorted(e for e in cut.elements if e in others or e[:2] in others)


def renewing(found: Iterable[Element]) -> str:
    """Commands that start the lease of each anew. A plain re-add keeps the old expiry: it must be
    deleted and added at once; and added before, so that deleting cannot fail."""
    return "\n".join(f"{_add(e)}\n{_delete(e)}\n{_add(e)}" for e in sorted(found))


def ending(found: Iterable[Element]) -> str:
    """Commands that end them at once; some may have expired already."""
    return "\n".join(f"{_add(e)}\n{_delete(e)}" for e in sorted(found))


def _add(element: Element) -> str:
    return f"add element {TABLE} {_set(element)} {{ {' . '.join(element)} timeout {LEASE_S}s }}"


def _delete(element: Element) -> str:
    return f"delete element {TABLE} {_set(element)} {{ {' . '.join(element)} }}"


def _set(element: Element) -> str:
    return ALL if len(element) == 2 else PORTS
