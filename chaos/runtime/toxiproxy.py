"""Clients' links: one Toxiproxy server per topology, one proxy per client zone, node and port.

All of `toxiproxy-python` is hidden here, because of three things it does: its server address is
global to the class, its requests have no deadline, and each call opens a new connection. Hence the
`_Wire` in place of its `requests` module.

Toxiproxy is not a partition: it acknowledges bytes for the other side, and removing a `timeout`
toxic closes the connections it held. So it only ever touches the links of clients. What else it
does that nobody would expect, and what is done about it here, is in docs/client-links.md; most of
all, that a request which changes a link's toxics hangs, and everything about that link with it,
while a client does not read what its connection holds. Such a link is made anew.
"""

from __future__ import annotations

import contextlib
import functools
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

import requests
from toxiproxy import api
from toxiproxy.exceptions import InvalidToxic, NotFound, ProxyExists
from toxiproxy.proxy import Proxy

from chaos.errors import ClusterError, FaultError

API_PORT = 8474
OBSERVER = "observer"  # the controller's own client zone; no fault ever touches its links
FIRST_PORT = 20000
DEADLINE_S = 3.0
HANGS_S = 1.5  # a change of toxics that takes longer hangs; without a stuck client it takes 1 ms
UP_S = 12.0  # how long enabling a link may take: it waits for a dial that hangs
AT_ONCE = 16  # links changed side by side
BOTH = ("upstream", "downstream")

T = TypeVar("T")


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


class _Hung(FaultError):
    """No answer within the deadline."""


class _There(FaultError):
    """It is there already."""


class _Wire:
    """What `toxiproxy.api` calls `requests`, for every thread: it sends each call to the server
    that this thread speaks to, over kept connections and with a deadline."""

    def __init__(self) -> None:
        self._local = threading.local()

    @contextlib.contextmanager
    def to(self, session: requests.Session, base: str, deadline_s: float) -> Iterator[None]:
        """While this lasts, calls of this thread go to `base`."""
        self._local.target = (session, base, deadline_s)
        try:
            yield
        finally:
            del self._local.target

    def __getattr__(self, verb: str) -> Any:
        def call(*, url: str, **kwargs: Any) -> Any:
            session, base, deadline_s = self._local.target
            path = url.partition(f":{API_PORT}")[2]
            answer = session.request(verb, base + path, timeout=deadline_s, **kwargs)
            if answer.status_code >= 500:
                raise requests.HTTPError(f"{verb} {path}: {answer.text.strip()[:200]}")
            return answer

        return call


_wire = _Wire()
api.requests = _wire


@dataclass(slots=True)
class _State:
    """What a link should be, so that it can be made anew."""

    proxy: dict[str, Any]  # as Toxiproxy's API wants it
    toxics: dict[str, dict[str, Any]] = field(default_factory=dict)  # name → as the API wants it
    down: set[str] = field(default_factory=set)  # faults that want it down
    lock: threading.Lock = field(default_factory=threading.Lock)


class Links:
    """The proxies of one topology. Faults may change the same link at the same time."""

    def __init__(self, host: str, port: int) -> None:
        self._base = f"http://{host}:{port}"
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=2 * AT_ONCE))
        self._states: dict[Link, _State] = {}

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
        self._states = {
            link: _State(
                {
                    "name": link.name,
                    "upstream": upstream,
                    "listen": f"0.0.0.0:{FIRST_PORT + k}",
                    "enabled": True,
                }
            )
            for k, (link, upstream) in enumerate(upstreams.items())
        }
        wanted = [state.proxy for state in self._states.values()]
        self._call(lambda: api.APIConsumer.post("/populate", json=wanted))

    def matching(self, zones: Iterable[str], nodes: Iterable[str]) -> list[Link]:
        """Links from any of `zones` to any port of any of `nodes`."""
        zones, nodes = set(zones), set(nodes)
        return sorted(x for x in self._states if x.zone in zones and x.node in nodes)

    def add_toxic(
        self,
        links: Sequence[Link],
        name: str,
        kind: str,
        attributes: Mapping[str, Any],
        streams: Sequence[str] = BOTH,
    ) -> None:
        """Put a toxic on every link, in each direction; `name` must be the fault's own."""

        def put(state: _State) -> None:
            toxics = [
                {
                    "name": f"{name}-{stream}",
                    "type": kind,
                    "stream": stream,
                    "attributes": dict(attributes),
                }
                for stream in streams
            ]
            state.toxics |= {str(toxic["name"]): toxic for toxic in toxics}
            try:
                for toxic in toxics:
                    self._put(state, toxic, HANGS_S)
            except _Hung:
                self._renew(state)

        self._on_each(put, links)

    def remove_toxic(
        self, links: Sequence[Link], name: str, streams: Sequence[str] = BOTH
    ) -> list[str]:
        """Take the toxic off again; one that is not there is no error.

        The names of links that had to be made anew for it: their connections were closed.
        """

        def take(state: _State) -> bool:
            names = [f"{name}-{stream}" for stream in streams]
            for toxic in names:
                state.toxics.pop(toxic, None)
            return self._strip(state, names)

        renewed = self._on_each(take, links)
        return [link.name for link, was in renewed.items() if was]

    def toxics(self, link: Link) -> list[str]:
        """Names of the toxics on a link, as Toxiproxy tells them."""
        return sorted(self._toxics(self._states[link]))

    def holders(self, link: Link) -> set[str]:
        """The faults that have a toxic on this link or want it down."""
        state = self._states[link]
        with state.lock:
            return state.down | {name.rpartition("-")[0] for name in state.toxics}

    def take_down(self, links: Sequence[Link], fault: str) -> None:
        """Let each link refuse connections and drop its own, until `bring_up` of all faults."""

        def down(state: _State) -> None:
            state.down.add(fault)
            try:
                self._call(self._proxy(state).disable)
            except _Hung:
                # It stops listening at once, but answers only when a dial in progress has ended.
                if self._get(f"/proxies/{state.proxy['name']}")["enabled"]:
                    raise

        self._on_each(down, links)

    def bring_up(self, links: Sequence[Link], fault: str) -> dict[Link, set[str]]:
        """End `take_down`; the links that other faults keep down, and which."""

        def up(state: _State) -> set[str]:
            state.down.discard(fault)
            if not state.down:
                self._enable(state)
            return set(state.down)

        return {link: by for link, by in self._on_each(up, links).items() if by}

    def heal(self) -> None:
        """Every link up and without toxics, whoever made them."""
        if not self._states:  # of another process
            for name, at in self._get("/proxies").items():
                proxy = {key: at[key] for key in ("name", "upstream", "listen")}
                self._states[Link(name, "", "")] = _State(proxy | {"enabled": True})

        def clear(state: _State) -> None:
            state.toxics.clear()
            state.down.clear()
            self._strip(state, None)
            self._enable(state)

        self._on_each(clear, list(self._states))

    def changed(self) -> list[str]:
        """Names of the links that are down or have a toxic, whoever made them."""
        found = self._get("/proxies")
        return sorted(name for name, at in found.items() if at["toxics"] or not at["enabled"])

    def _strip(self, state: _State, names: Sequence[str] | None) -> bool:
        """Take these toxics off (None: all) and see that they are gone; True: made anew for it."""
        with contextlib.suppress(_Hung):
            for _ in range(2):
                there = self._toxics(state)
                left = there if names is None else [name for name in names if name in there]
                if not left:
                    return False
                for toxic in left:
                    call = functools.partial(self._proxy(state).destroy_toxic, toxic)
                    self._call(call, HANGS_S, missing_ok=True)
        self._renew(state)
        return True

    def _renew(self, state: _State) -> None:
        """Make the link anew, which frees one that hangs: nothing else does, not even the end of
        the client that did not read. Its connections are closed."""
        proxy = state.proxy | {"enabled": not state.down}
        self._call(lambda: api.APIConsumer.delete(f"/proxies/{proxy['name']}"), missing_ok=True)
        self._call(lambda: api.APIConsumer.post("/proxies", json=proxy))
        for toxic in state.toxics.values():
            self._put(state, toxic)

    def _put(self, state: _State, toxic: Mapping[str, Any], deadline_s: float = DEADLINE_S) -> None:
        with contextlib.suppress(_There):
            self._call(functools.partial(self._proxy(state).add_toxic, **toxic), deadline_s)

    def _enable(self, state: _State) -> None:
        """Let it listen; one that was told to stop may still wait for a dial in progress."""
        end = time.monotonic() + UP_S
        while True:
            try:
                self._call(self._proxy(state).enable)
                return
            except _Hung:
                if time.monotonic() > end:
                    raise

    def _toxics(self, state: _State) -> list[str]:
        return list(self._call(self._proxy(state).toxics, HANGS_S))

    def _get(self, path: str) -> dict[str, Any]:
        found: dict[str, Any] = self._call(lambda: api.APIConsumer.get(path).json())
        return found

    @staticmethod
    def _proxy(state: _State) -> Any:
        return Proxy(**state.proxy)

    def _on_each(self, do: Callable[[_State], T], links: Sequence[Link]) -> dict[Link, T]:
        """`do` for the state of each link, side by side; one at a time on the same link."""

        def one(link: Link) -> T:
            state = self._states[link]
            with state.lock:
                return do(state)

        links = list(dict.fromkeys(links))
        with ThreadPoolExecutor(min(AT_ONCE, len(links) or 1)) as pool:
            return dict(zip(links, pool.map(one, links), strict=True))

    def _call(
        self,
        function: Callable[[], Any],
        deadline_s: float = DEADLINE_S,
        missing_ok: bool = False,
    ) -> Any:
        try:
            with _wire.to(self._session, self._base, deadline_s):
                return function()
        except NotFound as error:
            if missing_ok:
                return None
            raise FaultError(f"Toxiproxy does not know that: {error}") from None
        except ProxyExists as error:
            raise _There(f"Toxiproxy refused: {error}") from None
        except InvalidToxic as error:
            raise FaultError(f"Toxiproxy refused: {error}") from None
        except requests.Timeout:
            raise _Hung(
                f"Toxiproxy did not answer within {deadline_s:g} s",
                fix="a link hangs while a client does not read; docs/client-links.md says more",
            ) from None
        except (requests.RequestException, ValueError, KeyError) as error:
            raise FaultError(f"Toxiproxy did not answer: {error}") from None
