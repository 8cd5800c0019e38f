"""The pod's own packet filter: whom it hears no more, and how much it heard from whom.

The drop is at the receiver's INPUT, so one-way cuts come free and open connections hang instead of
being reset, as in a real partition. The table is ours alone: Docker's DNS lives in this namespace's
nat table and must not be touched. Part of the agent: standard library only.
"""

from __future__ import annotations

import ctypes
import json
from collections.abc import Iterable, Mapping
from typing import Any

from chaos.agent.ladder import ladder

LEASE_S = 3


class Nft:
    """libnftables through ctypes: 0.2 ms a command, where a fork of `nft` takes 10 ms."""

    JSON_OUTPUT = 1 << 4

    def __init__(self) -> None:
        lib = ctypes.CDLL("libnftables.so.1")
        for name, result, arguments in (
            ("nft_ctx_new", ctypes.c_void_p, [ctypes.c_uint32]),
            ("nft_ctx_buffer_error", ctypes.c_int, [ctypes.c_void_p]),
            ("nft_ctx_buffer_output", ctypes.c_int, [ctypes.c_void_p]),
            ("nft_ctx_output_set_flags", None, [ctypes.c_void_p, ctypes.c_uint]),
            ("nft_run_cmd_from_buffer", ctypes.c_int, [ctypes.c_void_p, ctypes.c_char_p]),
            ("nft_ctx_get_error_buffer", ctypes.c_char_p, [ctypes.c_void_p]),
            ("nft_ctx_get_output_buffer", ctypes.c_char_p, [ctypes.c_void_p]),
        ):
            function = getattr(lib, name)
            function.restype, function.argtypes = result, arguments
        self._lib = lib
        self._context = lib.nft_ctx_new(0)
        lib.nft_ctx_buffer_error(self._context)
        lib.nft_ctx_buffer_output(self._context)
        lib.nft_ctx_output_set_flags(self._context, self.JSON_OUTPUT)

    def run(self, commands: str) -> str:
        """Run commands as one transaction; the output as text. RuntimeError when refused."""
        if self._lib.nft_run_cmd_from_buffer(self._context, commands.encode()):
            message = self._lib.nft_ctx_get_error_buffer(self._context).decode().strip()
            raise RuntimeError(f"nftables refused: {message.splitlines()[0] if message else '?'}")
        output: bytes = self._lib.nft_ctx_get_output_buffer(self._context)
        return output.decode()


class Firewall:
    """Which sources are dropped, by which fault; and how many bytes came from each peer."""

    def __init__(self) -> None:
        self._nft: Nft
        self._why_not = "the controller has not said hello"
        self._by_fault: dict[str, set[str]] = {}  # fault id → addresses
        self._peers: dict[str, str] = {}  # address → node name

    def greet(self, name: str, peers: Mapping[str, str]) -> None:
        """Make the table; `peers` maps the other nodes' names to addresses."""
        self._peers = {address: peer for peer, address in peers.items()}
        try:
            self._make_table()
            self._why_not = ""
        except (OSError, RuntimeError) as error:
            self._why_not = str(error)

    def able(self) -> dict[str, Any]:
        """Whether there is a table, and why not."""
        return {
            "nftables": not self._why_not,
            "why": self._why_not,
            "ladders": {"partition": ladder(("nftables", self._why_not))},
        }

    def do_block(self, request: dict[str, Any]) -> None:
        """Drop packets from `sources` for `fault`."""
        if self._why_not:
            raise RuntimeError(self._why_not)
        self.block(request["fault"], request["sources"])

    def do_unblock(self, request: dict[str, Any]) -> dict[str, Any]:
        """End `fault`'s drops; which sources another fault still drops."""
        return {"still": sorted(self.unblock(request["fault"]))}

    def tick(self) -> None:
        """Renew the leases."""
        self.renew()

    def sample(self) -> dict[str, Any]:
        """Bytes received, by peer."""
        return {"rx_bytes": {} if self._why_not else self.received_bytes()}

    def _make_table(self) -> None:
        self._nft = Nft()
        elements = f"elements = {{ {', '.join(self._peers)} }}" if self._peers else ""
        self._nft.run(
            "add table inet aftershock\nflush table inet aftershock\n"
            "delete table inet aftershock\n"
            "table inet aftershock {\n"
            "  set blocked { type ipv4_addr; flags timeout; }\n"
            f"  set received {{ type ipv4_addr; counter; {elements} }}\n"
            "  chain input { type filter hook input priority -200; policy accept;\n"
            "    ip saddr @blocked drop\n"
            "    ip saddr @received accept\n"
            "  }\n}"
        )

    def block(self, fault: str, sources: Iterable[str]) -> None:
        """Drop what comes from `sources` until unblocked, or for a lease."""
        self._by_fault[fault] = set(sources)
        self.renew()

    def unblock(self, fault: str) -> set[str]:
        """Undo `block`; those of its sources that another fault blocks, and that stay blocked."""
        blocked = self._by_fault.pop(fault, set())
        still = blocked & self.blocked()
        gone = blocked - still
        if gone:
            # An element may have expired already: add first, so that deleting cannot fail.
            self._nft.run("\n".join(self._add(a) + "\n" + self._delete(a) for a in sorted(gone)))
        return still

    def blocked(self) -> set[str]:
        """All addresses that some fault blocks."""
        return set().union(*self._by_fault.values())

    def renew(self) -> None:
        """Start every lease anew. A plain re-add keeps the old expiry: delete and add at once."""
        commands = [
            f"{self._add(a)}\n{self._delete(a)}\n{self._add(a)}" for a in sorted(self.blocked())
        ]
        if commands:
            self._nft.run("\n".join(commands))

    def heal(self) -> None:
        """Forget every fault and drop nothing."""
        self._by_fault.clear()
        if self._why_not:
            return
        self._nft.run("flush set inet aftershock blocked")

    def received_bytes(self) -> dict[str, int]:
        """{node name: bytes received from it}, counted after the drop."""
        listing = json.loads(self._nft.run("list set inet aftershock received"))
        found: dict[str, int] = {}
        for entry in listing["nftables"]:
            for element in entry.get("set", {}).get("elem", []):
                inner = element["elem"]
                found[self._peers[inner["val"]]] = inner["counter"]["bytes"]
        return found

    @staticmethod
    def _add(address: str) -> str:
        return f"add element inet aftershock blocked {{ {address} timeout {LEASE_S}s }}"

    @staticmethod
    def _delete(address: str) -> str:
        return f"delete element inet aftershock blocked {{ {address} }}"
