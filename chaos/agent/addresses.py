"""More addresses of the pod's own interface: one for each client zone that comes to this node.

By them the packets of different zones are told from each other and from those of the nodes. Over
netlink, which takes 0.1 ms. Part of the agent: standard library only.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Sequence
from typing import Any

INTERFACE = "eth0"  # what the engine calls a container's first

# <linux/netlink.h>, <linux/rtnetlink.h>, <linux/if_addr.h>
RTM_NEWADDR = 20
NLM_F_REQUEST, NLM_F_ACK, NLM_F_REPLACE, NLM_F_CREATE = 0x1, 0x4, 0x100, 0x400
NLMSG_ERROR = 2
IFA_ADDRESS, IFA_LOCAL = 1, 2
HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
ADDRESS = struct.Struct("=BBBBI")  # family, prefix length, flags, scope, interface
ATTRIBUTE = struct.Struct("=HH4s")  # length, type, IPv4 address


class Addresses:
    """The aliases of the pod."""

    def do_aliases(self, request: dict[str, Any]) -> None:
        """Give the interface `addresses` as well; those it has already are no error."""
        add(request["addresses"])

    def tick(self) -> None:
        """Nothing to renew."""

    def heal(self) -> None:
        """Nothing to undo: the clients' connections live on the aliases; they end with the pod."""

    def able(self) -> dict[str, Any]:
        """Always."""
        return {}


def add(addresses: Sequence[str]) -> None:
    """Give INTERFACE these IPv4 addresses, each for itself (/32): no route changes, and what the
    pod sends by itself still comes from its first address. OSError when the kernel refuses."""
    if not addresses:
        return
    index = socket.if_nametoindex(INTERFACE)
    messages = b"".join(_message(n, index, address) for n, address in enumerate(addresses))
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as line:
        line.settimeout(2.0)
        line.send(messages)
        answered = 0
        while answered < len(addresses):
            data = line.recv(65536)
            while data:
                length, kind, _, number, _ = HEADER.unpack_from(data)
                if kind == NLMSG_ERROR:
                    answered += 1
                    if code := -struct.unpack_from("=i", data, HEADER.size)[0]:
                        raise OSError(code, os.strerror(code), addresses[number])
                data = data[(length + 3) & ~3 :]


def _message(number: int, index: int, address: str) -> bytes:
    packed = socket.inet_aton(address)
    body = ADDRESS.pack(socket.AF_INET, 32, 0, 0, index) + b"".join(
        ATTRIBUTE.pack(ATTRIBUTE.size, kind, packed) for kind in (IFA_LOCAL, IFA_ADDRESS)
    )
    flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_REPLACE | NLM_F_CREATE
    return HEADER.pack(HEADER.size + len(body), RTM_NEWADDR, flags, number, 0) + body
