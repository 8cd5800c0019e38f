"""The clients' pod: Toxiproxy, through which all clients go, and the agent that owns its network.

Clients run in the controller's processes; what they send enters the test network here. The proxies
of a client zone dial the nodes' aliases for that zone (chaos/runtime/ways.py), so its packets can
be told apart, and dropped or delayed, as those of a node.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import docker

from chaos.agent.link import AgentLink
from chaos.runtime.docker import LABEL_PART, engine_errors
from chaos.runtime.pod import LOGS, place_in, start_agent
from chaos.runtime.toxiproxy import API_PORT, FIRST_PORT, Link, Links
from chaos.systems.base import Address

NAME = "toxiproxy"  # in the test network
# Toxiproxy dials a link's node for one client after the other. Behind a cut a dial hangs, and goes
# on when TCP next tries: after 30 s of a cut, up to 16 s later, with every other client of the link
# waiting. With two tries more, one a second since Linux 6.5, they wait a second.
SYSCTLS = {"net.ipv4.tcp_syn_retries": "2"}


class ClientsPod:
    """The two containers, the line to the agent, and the links made in Toxiproxy."""

    def __init__(self, client: docker.DockerClient, prefix: str, labels: Mapping[str, str]) -> None:
        self.link: AgentLink
        self.links: Links
        self.addresses: dict[Link, Address] = {}  # where each link is dialled
        self.toxiproxy: Any = None
        self._client = client
        self._prefix = prefix
        self._labels = dict(labels)

    def start(
        self,
        images: Mapping[str, str],
        place: tuple[str, str],
        upstreams: Mapping[Link, str],
        *,
        publish: bool,
        labels: Mapping[str, str],
    ) -> dict[str, Any]:
        """Start both, make a link to each upstream; the agent's answer to hello.

        `place`: network and address. `publish`: ports on loopback, for a network that this host
        cannot reach. `labels`: more of them, for the agent's container, which has the ports.
        """
        ports = [API_PORT, *range(FIRST_PORT, FIRST_PORT + len(upstreams))] if publish else []
        network, address = place
        container, self.link = start_agent(
            self._client,
            images["agent"],
            name=f"{self._prefix}-clients_agent",  # no node's: their names have no `_`
            hostname=NAME,
            labels={**self._labels, **labels},
            networking=place_in(self._client.api, network, address, NAME),
            ports=ports,
            sysctls=SYSCTLS,
        )
        hello = self.link.ask("hello", 10.0, name=NAME, peers={})
        with engine_errors("starting Toxiproxy"):
            self.toxiproxy = self._client.containers.create(
                images["toxiproxy"],
                ["-host", "0.0.0.0"],
                name=f"{self._prefix}-toxiproxy",
                labels={**self._labels, LABEL_PART: "toxiproxy"},
                network_mode=f"container:{container.id}",
                log_config=LOGS,
            )
            self.toxiproxy.start()
            container.reload()
        self.addresses = link_addresses(container, upstreams)
        self.links = Links(*dial(container, API_PORT))
        self.links.wait_ready()
        self.links.create(upstreams)
        return hello


def dial(container: Any, port: int) -> Address:
    """Where this host reaches `port` of a container: published on loopback, or its own address."""
    networks = container.attrs["NetworkSettings"]
    if published := (networks["Ports"] or {}).get(f"{port}/tcp"):
        return "127.0.0.1", int(published[0]["HostPort"])
    return next(iter(networks["Networks"].values()))["IPAddress"], port


def link_addresses(agent: Any, links: Iterable[Link]) -> dict[Link, Address]:
    """Where each link listens; they were made in this order. `agent`: the one of the clients."""
    return {link: dial(agent, FIRST_PORT + k) for k, link in enumerate(links)}
