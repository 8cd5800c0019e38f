"""The agent: process 1 of a pod, holding its network and PID namespaces. Standard library only.

It is copied into the agent container as one file, so it imports nothing of `chaos`.

It reads one JSON object a line from standard input and answers one a line on standard output:

    {"id": 7, "do": "block", "fault": "f1", "sources": ["198.19.3.12"]}
    {"id": 7, "ok": true, "t_ns": 123}          or  {"id": 7, "ok": false, "error": "…"}

All times are CLOCK_MONOTONIC nanoseconds, which every container of one host shares.

Nothing it does outlives it: packets are dropped by nftables set elements that expire by themselves
(`LEASE_S`) unless renewed, and it renews only while it hears from the controller. End of input, or
silence for a lease, heals everything; the agent then stays as the holder of the namespaces.

The drop is at the receiver's INPUT, so one-way cuts come free and open connections hang instead of
being reset, as in a real partition. The table is the agent's own: Docker's DNS lives in this
namespace's nat table and must not be touched.
"""

import ctypes
import heapq
import json
import os
import selectors
import signal
import socket
import sys
import time

LEASE_S = 3.0
RENEW_S = 1.0
PROBE_PORT = 9  # UDP discard: beacons arrive here, nothing is ever answered
ARRIVALS_MAX = 20_000
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Nft:
    """libnftables through ctypes: 0.2 ms a command, where a fork of `nft` takes 10 ms."""

    JSON_OUTPUT = 1 << 4

    def __init__(self):
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

    def run(self, commands):
        """Run commands as one transaction; the output as text. RuntimeError when refused."""
        if self._lib.nft_run_cmd_from_buffer(self._context, commands.encode()):
            message = self._lib.nft_ctx_get_error_buffer(self._context).decode().strip()
            raise RuntimeError(f"nftables refused: {message.splitlines()[0] if message else '?'}")
        return self._lib.nft_ctx_get_output_buffer(self._context).decode()


class Firewall:
    """Which sources are dropped, by which fault; and how many bytes came from each peer."""

    def __init__(self, peers):
        self._nft = Nft()
        self._by_fault = {}  # fault id → set of addresses
        self._peers = dict(peers)  # address → node name
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

    def block(self, fault, sources):
        """Drop what comes from `sources` until unblocked, or for a lease."""
        self._by_fault[fault] = set(sources)
        self.renew()

    def unblock(self, fault):
        """Undo `block`; sources that another fault blocks stay blocked."""
        gone = self._by_fault.pop(fault, set()) - self.blocked()
        if gone:
            # An element may have expired already: add first, so that deleting cannot fail.
            self._nft.run("\n".join(self._add(a) + "\n" + self._delete(a) for a in sorted(gone)))

    def blocked(self):
        """All addresses that some fault blocks."""
        return set().union(*self._by_fault.values())

    def renew(self):
        """Start every lease anew: a plain re-add keeps the old expiry, so delete and add at once."""
        commands = [
            f"{self._add(a)}\n{self._delete(a)}\n{self._add(a)}" for a in sorted(self.blocked())
        ]
        if commands:
            self._nft.run("\n".join(commands))

    def heal(self):
        """Forget every fault and drop nothing."""
        self._by_fault.clear()
        self._nft.run("flush set inet aftershock blocked")

    def received_bytes(self):
        """{node name: bytes received from it}, counted after the drop."""
        listing = json.loads(self._nft.run("list set inet aftershock received"))
        found = {}
        for entry in listing["nftables"]:
            for element in entry.get("set", {}).get("elem", []):
                inner = element["elem"]
                found[self._peers[inner["val"]]] = inner["counter"]["bytes"]
        return found

    @staticmethod
    def _add(address):
        return f"add element inet aftershock blocked {{ {address} timeout {int(LEASE_S)}s }}"

    @staticmethod
    def _delete(address):
        return f"delete element inet aftershock blocked {{ {address} }}"


class Processes:
    """The database's processes: everything in this PID namespace but the agent."""

    def __init__(self):
        self._stopped_by = set()

    @staticmethod
    def each():
        """(pid, name, state, cpu ticks, resident bytes) of every process but the agent."""
        for entry in os.listdir("/proc"):
            if not entry.isdigit() or entry == "1":
                continue
            try:
                with open(f"/proc/{entry}/stat", "rb") as file:
                    head, _, tail = file.read().decode(errors="replace").rpartition(")")
            except OSError:
                continue  # it ended meanwhile
            rest = tail.split()
            yield (
                int(entry),
                head.partition("(")[2],
                rest[0],
                int(rest[11]) + int(rest[12]),
                int(rest[21]) * PAGE_BYTES,
            )

    def kill(self):
        """SIGKILL them all, again until none is left; how many there were."""
        killed = set()
        deadline = time.monotonic() + 5.0
        while time.monotonic() < deadline:
            alive = [p for p, _, state, _, _ in self.each() if state not in "ZX"]
            if not alive:
                return len(killed)
            for pid in alive:
                _signal(pid, signal.SIGKILL)
                killed.add(pid)
            time.sleep(0.0005)
        raise RuntimeError(f"{len(alive)} processes outlived SIGKILL for 5 s")

    def stop(self, fault):
        """SIGSTOP them all until every one is stopped; how many. Children born meanwhile too."""
        self._stopped_by.add(fault)
        deadline = time.monotonic() + 2.0
        while time.monotonic() < deadline:
            running = [p for p, _, state, _, _ in self.each() if state not in "TtZX"]
            if not running:
                return sum(1 for p in self.each() if p[2] in "Tt")
            for pid in running:
                _signal(pid, signal.SIGSTOP)
            time.sleep(0.0005)
        raise RuntimeError(f"{len(running)} processes still run after SIGSTOP")

    def resume(self, fault):
        """SIGCONT them all, unless another fault holds them."""
        self._stopped_by.discard(fault)
        if not self._stopped_by:
            for pid, _, state, _, _ in self.each():
                if state in "Tt":
                    _signal(pid, signal.SIGCONT)

    def heal(self):
        """Let everything run."""
        self._stopped_by.clear()
        self.resume(None)


def _signal(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


class Beacons:
    """One-way reachability, measured without the firewall's word for it.

    Each beacon is a UDP datagram with the sender's name; the receiver only writes down when it
    came. So each direction is seen by itself, which a TCP connect cannot show.
    """

    def __init__(self, name):
        self._name = name.encode()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.bind(("0.0.0.0", PROBE_PORT))
        self._arrivals = []  # (t_ns, sender)

    def send(self, addresses):
        """One datagram to each address; a refused send is as good as a lost one."""
        for address in addresses:
            try:
                self.socket.sendto(self._name, (address, PROBE_PORT))
            except OSError:
                pass

    def receive(self):
        """Write down everything that has arrived."""
        while True:
            try:
                data, _ = self.socket.recvfrom(256)
            except BlockingIOError:
                return
            except OSError:
                continue  # an ICMP error of an earlier send
            self._arrivals.append((time.monotonic_ns(), data.decode(errors="replace")))
            if len(self._arrivals) > ARRIVALS_MAX:
                del self._arrivals[: ARRIVALS_MAX // 2]

    def arrivals(self, since_ns):
        """{sender: [arrival times]} since `since_ns`."""
        found = {}
        for t_ns, sender in self._arrivals:
            if t_ns >= since_ns:
                found.setdefault(sender, []).append(t_ns)
        return found


class Agent:
    """The loop: commands in, answers out, timers between."""

    def __init__(self):
        self._selector = selectors.DefaultSelector()
        self._timers = []  # heap of (due, number, function)
        self._timer_number = 0
        self._heard = time.monotonic()
        self._partial = b""
        self._name = "?"
        self._firewall = None
        self._why_no_firewall = "the controller has not said hello"
        self._processes = Processes()
        self._beacons = None

    def run(self):
        """Serve until SIGTERM."""
        os.set_blocking(0, False)
        self._selector.register(0, selectors.EVENT_READ, self._read)
        self._after(RENEW_S, self._tick)
        while True:
            wait = max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else None
            for key, _ in self._selector.select(wait):
                key.data()
            while self._timers and self._timers[0][0] <= time.monotonic():
                heapq.heappop(self._timers)[2]()

    def _after(self, seconds, function):
        self._timer_number += 1
        due = time.monotonic() + seconds
        heapq.heappush(self._timers, (due, self._timer_number, function))

    def _tick(self):
        """Renew the leases while the controller lives, else heal."""
        if time.monotonic() - self._heard < LEASE_S:
            if self._firewall:
                self._firewall.renew()
        else:
            self._heal()
        self._after(RENEW_S, self._tick)

    def _heal(self):
        self._processes.heal()
        if self._firewall:
            self._firewall.heal()

    def _read(self):
        try:
            data = os.read(0, 65536)
        except BlockingIOError:
            return
        if not data:
            self._selector.unregister(0)
            self._heard = float("-inf")
            self._heal()
            return
        self._heard = time.monotonic()
        *lines, self._partial = (self._partial + data).split(b"\n")
        for line in lines:
            self._answer(line)

    def _answer(self, line):
        number = None
        try:
            request = json.loads(line)
            number = request["id"]
            answer = getattr(self, "do_" + request["do"])(request) or {}
            answer.update(id=number, ok=True, t_ns=time.monotonic_ns())
        except Exception as error:
            answer = {"id": number, "ok": False, "error": f"{type(error).__name__}: {error}"}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()

    def do_hello(self, request):
        """Learn one's name and peers ({name: address}); say what this pod can do."""
        self._name = request["name"]
        self._peers = request["peers"]
        if self._beacons is None:
            self._beacons = Beacons(self._name)
            self._selector.register(
                self._beacons.socket, selectors.EVENT_READ, self._beacons.receive
            )
        try:
            self._firewall = Firewall({a: n for n, a in self._peers.items()})
            self._why_no_firewall = ""
        except (OSError, RuntimeError) as error:
            self._why_no_firewall = str(error)
        return {"nftables": not self._why_no_firewall, "why": self._why_no_firewall,
                "lease_s": LEASE_S}

    def do_beat(self, request):
        """Nothing: hearing it is the point."""

    def do_block(self, request):
        """Drop packets from `sources` for `fault`."""
        if self._firewall is None:
            raise RuntimeError(self._why_no_firewall)
        self._firewall.block(request["fault"], request["sources"])

    def do_unblock(self, request):
        """End `fault`'s drops."""
        if self._firewall is not None:
            self._firewall.unblock(request["fault"])

    def do_beacons(self, request):
        """Send a beacon to every address in `to` each `every_ms`, for `for_ms`."""
        end = time.monotonic() + request["for_ms"] / 1000
        every_s = request["every_ms"] / 1000
        addresses = request["to"]

        def send():
            self._beacons.send(addresses)
            if time.monotonic() + every_s < end:
                self._after(every_s, send)

        send()

    def do_arrivals(self, request):
        """When beacons came, by sender, since `since_ns`."""
        self._beacons.receive()
        return {"arrivals": self._beacons.arrivals(request["since_ns"])}

    def do_kill(self, request):
        """SIGKILL every database process."""
        return {"killed": self._processes.kill()}

    def do_stop(self, request):
        """SIGSTOP every database process for `fault`."""
        return {"stopped": self._processes.stop(request["fault"])}

    def do_resume(self, request):
        """End `fault`'s stop."""
        self._processes.resume(request["fault"])

    def do_processes(self, request):
        """Name and state of every database process."""
        return {"processes": [[p, name, state] for p, name, state, _, _ in self._processes.each()]}

    def do_sample(self, request):
        """CPU time and memory of the database's processes, bytes received by peer."""
        cpu = memory = 0
        for _, _, _, ticks, resident in self._processes.each():
            cpu += ticks
            memory += resident
        received = self._firewall.received_bytes() if self._firewall else {}
        return {"cpu_s": cpu / TICKS_PER_S, "mem_bytes": memory, "rx_bytes": received}

    def do_heal(self, request):
        """Undo everything at once."""
        self._heal()


def _reap(*_):
    """Process 1 inherits the orphans of the pod and must bury them."""
    while True:
        try:
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                return
        except ChildProcessError:
            return


def main():
    """Run as process 1 of the pod."""
    signal.signal(signal.SIGCHLD, _reap)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Agent().run()


if __name__ == "__main__":
    main()
