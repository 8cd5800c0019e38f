"""The pod's own packet filter: whom it hears no more, and how much it heard from whom.

The drop is at the receiver's INPUT, so one-way cuts come free and open connections hang instead of
being reset, as in a real partition. The table is ours alone: Docker's DNS lives in this namespace's
nat table and must not be touched. Part of the agent: standard library only.
"""

from __future__ import annotations

import ctypes
import json
from collections.abc import Mapping
from typing import Any

from chaos.agent.cuts import ALL, PORTS, TABLE, Cut, Cuts, elements, ending, renewing
from chaos.agent.ladder import ladder


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
    """Which packets are dropped, by which fault; and how many bytes came from each peer."""

    def __init__(self, loop: Any) -> None:
        self._loop = loop  # chaos.agent.agent.Loop
        self._nft: Nft
        self._why_not = "the controller has not said hello"
        self._cuts = Cuts()
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
        """Drop for `fault` what comes on `ways`, pairs of addresses (from, to): everything, or
        what has one of `ports` at either end. With `flap`, {"down_ms", "up_ms"}, by turns."""
        if self._why_not:
            raise RuntimeError(self._why_not)
        cut = self._cuts.put(request["fault"], elements(request["ways"], request.get("ports", ())))
        self._nft.run(renewing(cut.elements))
        if flap := request.get("flap"):
            self._later(cut, flap["down_ms"] / 1000, flap["up_ms"] / 1000)

    def do_unblock(self, request: dict[str, Any]) -> dict[str, Any]:
        """End `fault`'s drops; those of its ways that another fault cuts too, with the port."""
        cut = self._cuts.take(request["fault"])
        self._end(cut)
        return {"still": [[a, b, int(more[1]) if more else None]
                          for a, b, *more in self._cuts.shared(cut)]}  # fmt: skip

    def tick(self) -> None:
        """Renew the leases."""
        if dropped := self._cuts.dropped():
            self._nft.run(renewing(dropped))

    def heal(self) -> None:
        """Forget every fault and drop nothing."""
        self._cuts.clear()
        if not self._why_not:
            self._nft.run(f"flush set {TABLE} {ALL}\nflush set {TABLE} {PORTS}")

    def sample(self) -> dict[str, Any]:
        """Bytes received, by peer."""
        return {"rx_bytes": {} if self._why_not else self.received_bytes()}

    def _make_table(self) -> None:
        self._nft = Nft()
        found = f"elements = {{ {', '.join(self._peers)} }}" if self._peers else ""
        way = "ip saddr . ip daddr"
        self._nft.run(
            f"add table {TABLE}\nflush table {TABLE}\ndelete table {TABLE}\n"
            f"table {TABLE} {{\n"
            f"  set {ALL} {{ type ipv4_addr . ipv4_addr; flags timeout; }}\n"
            f"  set {PORTS} {{ type ipv4_addr . ipv4_addr . inet_proto . inet_service;"
            " flags timeout; }\n"
            f"  set received {{ type ipv4_addr; counter; {found} }}\n"
            "  chain input { type filter hook input priority -200; policy accept;\n"
            f"    {way} @{ALL} drop\n"
            f"    meta l4proto {{ tcp, udp }} {way} . meta l4proto . th dport @{PORTS} drop\n"
            f"    meta l4proto {{ tcp, udp }} {way} . meta l4proto . th sport @{PORTS} drop\n"
            "    ip saddr @received accept\n"
            "  }\n}"
        )

    def _later(self, cut: Cut, seconds: float, next_seconds: float) -> None:
        """Turn a flapping cut over after that long, and again, until it is taken."""

        def turn() -> None:
            if not self._cuts.there(cut):
                return
            self._later(cut, next_seconds, seconds)
            cut.active = not cut.active
            if cut.active:
                self._nft.run(renewing(cut.elements))
            else:
                self._end(cut)

        self._loop.after(seconds, turn)

    def _end(self, cut: Cut) -> None:
        """Drop no more what only this one wanted dropped."""
        if gone := cut.elements - self._cuts.dropped():
            self._nft.run(ending(gone))

    def received_bytes(self) -> dict[str, int]:
        """{node name: bytes received from it}, counted after the drop."""
        listing = json.loads(self._nft.run(f"list set {TABLE} received"))
        found: dict[str, int] = {}
        for entry in listing["nftables"]:
            for element in entry.get("set", {}).get("elem", []):
                inner = element["elem"]
                found[self._peers[inner["val"]]] = inner["counter"]["bytes"]
        return found
