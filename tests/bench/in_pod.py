"""Run inside pods by bench_links.py, as `python3 -c`: pings that overlap, and one bulk flow.

    echo                          answer datagrams for ever
    ping ADDRESS COUNT EVERY_MS   {"rtt_ms": […]}: each datagram's round trip
    sink                          {"t_s": […], "bytes": […]}: what came of one flow, each 50 ms
    flow ADDRESS SECONDS          send as fast as it goes

Standard library only.
"""

from __future__ import annotations

import json
import select
import socket
import struct
import sys
import time

ECHO_PORT, FLOW_PORT = 5005, 5006
HEAD = struct.Struct("!Id")
WAIT_S = 2.0  # for the last answers


def echo() -> None:
    """Answer each datagram with itself."""
    line = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    line.bind(("0.0.0.0", ECHO_PORT))
    while True:
        data, sender = line.recvfrom(2048)
        line.sendto(data, sender)


def ping(address: str, count: int, every_s: float) -> dict[str, list[float]]:
    """Send one each `every_s`, whether those before were answered or not."""
    line = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    line.connect((address, ECHO_PORT))
    line.setblocking(False)
    began, sent, took = time.monotonic(), 0, []
    while len(took) < count and time.monotonic() < began + count * every_s + WAIT_S:
        now = time.monotonic()
        if sent < count and now >= began + sent * every_s:
            line.send(HEAD.pack(sent, now) + bytes(52))
            sent += 1
            continue
        wait_s = began + sent * every_s - now if sent < count else WAIT_S
        if select.select([line], [], [], max(0.0, wait_s))[0]:
            data = line.recv(2048)
            took.append((time.monotonic() - HEAD.unpack_from(data)[1]) * 1e3)
    return {"rtt_ms": took}


def sink() -> dict[str, list[float]]:
    """Take one flow to its end."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("0.0.0.0", FLOW_PORT))
    listener.listen(1)
    flow, _ = listener.accept()
    buffer, total, times, amounts = bytearray(1 << 20), 0, [], []
    next_s = began = time.monotonic()
    while got := flow.recv_into(buffer):
        total += got
        if (now := time.monotonic()) >= next_s:
            times.append(now - began)
            amounts.append(float(total))
            next_s = now + 0.05
    return {"t_s": times, "bytes": amounts}


def flow(address: str, seconds: float) -> None:
    """Send until the time is over."""
    line = socket.create_connection((address, FLOW_PORT))
    end, data = time.monotonic() + seconds, bytes(1 << 17)
    while time.monotonic() < end:
        line.send(data)


def main(do: str, *arguments: str) -> None:
    """One of the above; its answer as JSON."""
    if do == "echo":
        echo()
    elif do == "ping":
        address, count, every_ms = arguments
        sys.stdout.write(json.dumps(ping(address, int(count), float(every_ms) / 1e3)))
    elif do == "sink":
        sys.stdout.write(json.dumps(sink()))
    else:
        flow(arguments[0], float(arguments[1]))


if __name__ == "__main__":
    main(*sys.argv[1:])
