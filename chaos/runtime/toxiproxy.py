"""Clients' links: one Toxiproxy server per topology, one proxy per client zone, node and port.

All of `toxiproxy-python` is hidden here, because of three things it does: its server address is
global to the class, its requests have no deadline, and each call opens a new connection. Hence one
lock, and a session with a deadline in place of its `requests` module.

Toxiproxy is not a partition: it acknowledges bytes for the other side, and removing a `timeout`
toxic closes the connections it held. So it only ever touches the links of clients.
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import requests
from toxiproxy import Toxiproxy, api
from toxiproxy.exceptions import InvalidToxic, NotFound, ProxyExists
from toxiproxy.proxy import Proxy

from chaos.errors import ClusterError, FaultError

API_PORT = 8474
FIRST_PORT = 20000
DEADLINE_S = 3.0
_lock = threading.RLock()


@dataclass(frozen=True, slots=True, order=True)
class Link:
    """A client zone's way to one port of one node."""

    zone: str
    node: str
    port: str

    @property
    def name(self) -> str:
        """The proxy's name."""
        return f"{self.zone}--{self.node}--{self.port}"


class _Session:
    """What `toxiproxy.api` calls `requests`: kept connections and a deadline on each request."""

    def __init__(self) -> None:
        self._session = requests.Session()
        self._session.trust_env = False

    def __getattr__(self, verb: str) -> Any:
        method = getattr(self._session, verb)

        def call(**kwargs: Any) -> Any:
            return method(timeout=DEADLINE_S, **kwargs)

        return call


class Links:
    """The proxies of one topology."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._session = _Session()
        self._proxies: dict[Link, Proxy] = {}

    def wait_ready(self, deadline_s: float = 10.0) -> None:
        """Until the server answers; ClusterError when it does not."""
        end = time.monotonic() + deadline_s
        while True:
            try:
                self._call(lambda: api.APIConsumer.get("/version"))
                return
            except FaultError:
                if time.monotonic() > end:
                    raise ClusterError(
                        f"Toxiproxy did not answer within {deadline_s:g} s"
                    ) from None
                time.sleep(0.02)

    def create(self, upstreams: Mapping[Link, str]) -> None:
        """Make a proxy for each link; the k-th in order listens on FIRST_PORT + k."""
        wanted = [
            {
                "name": link.name,
                "upstream": upstream,
                "listen": f"0.0.0.0:{FIRST_PORT + k}",
                "enabled": True,
            }
            for k, (link, upstream) in enumerate(upstreams.items())
        ]

        def populate() -> None:
            api.APIConsumer.post("/populate", json=wanted)
            made = Toxiproxy().proxies()
            self._proxies = {link: made[link.name] for link in upstreams}

        self._call(populate)

    def matching(self, zones: Iterable[str], nodes: Iterable[str]) -> list[Link]:
        """Links from any of `zones` to any port of any of `nodes`."""
        zones, nodes = set(zones), set(nodes)
        return sorted(x for x in self._proxies if x.zone in zones and x.node in nodes)

    def add_toxic(
        self,
        links: Sequence[Link],
        name: str,
        kind: str,
        attributes: Mapping[str, Any],
        streams: Sequence[str] = ("upstream", "downstream"),
    ) -> None:
        """Put a toxic on every link, in each direction; `name` must be the fault's own."""
        for link in links:
            for stream in streams:
                toxic = {
                    "name": f"{name}-{stream}",
                    "type": kind,
                    "stream": stream,
                    "attributes": dict(attributes),
                }
                self._call(functools.partial(self._proxies[link].add_toxic, **toxic))

    def remove_toxic(
        self,
        links: Sequence[Link],
        name: str,
        streams: Sequence[str] = ("upstream", "downstream"),
    ) -> None:
        """Take the toxic off again; one that is not there is no error."""
        for link in links:
            for stream in streams:
                call = functools.partial(self._proxies[link].destroy_toxic, f"{name}-{stream}")
                self._call(call, missing_ok=True)

    def toxics(self, link: Link) -> list[str]:
        """Names of the toxics on a link."""
        return sorted(self._call(self._proxies[link].toxics))

    def set_up(self, links: Sequence[Link], up: bool) -> None:
        """Let each link listen, or stop listening and drop its connections."""
        for link in links:
            proxy = self._proxies[link]
            self._call(proxy.enable if up else proxy.disable)

    def heal(self) -> None:
        """Every link up and without toxics."""
        self._call(Toxiproxy().reset)

    def _call(self, function: Any, missing_ok: bool = False) -> Any:
        with _lock:
            api.requests = self._session
            api.APIConsumer.host, api.APIConsumer.port = self._host, self._port
            try:
                return function()
            except NotFound as error:
                if missing_ok:
                    return None
                raise FaultError(f"Toxiproxy does not know that: {error}") from None
            except (InvalidToxic, ProxyExists) as error:
                raise FaultError(f"Toxiproxy refused: {error}") from None
            except (requests.RequestException, ValueError, KeyError) as error:
                raise FaultError(f"Toxiproxy did not answer: {error}") from None
