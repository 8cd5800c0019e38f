"""Commands in containers, as probes run them: through the engine, each with a deadline."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import docker
import requests
import urllib3
from docker.errors import APIError, DockerException

from chaos.systems._deadline import within
from chaos.systems.base import Definite

OUTPUT_BYTES_MAX = 4096


class Commands:
    """Runs commands in the containers of nodes; `where`: {"engine", "certificates", node: id}."""

    def __init__(self, where: Mapping[str, Any]) -> None:
        self._where = where
        self._api: Any = None

    def run(self, node: str, command: Sequence[str], within_s: float) -> tuple[int, str]:
        """Exit code and the beginning of its output; TimeoutError after `within_s`.

        Definite when the container does not run. A command that is late goes on in its container.
        """
        try:
            return within(within_s, lambda: self._run(node, command))
        except TimeoutError:
            self.close()
            raise

    def close(self) -> None:
        """Drop the line to the engine."""
        api, self._api = self._api, None
        if api is not None:
            with contextlib.suppress(Exception):
                api.close()

    def _run(self, node: str, command: Sequence[str]) -> tuple[int, str]:
        try:
            api = self._api = self._api or self._connect()
            made = api.exec_create(self._where[node], list(command))
            output = api.exec_start(made["Id"])
            code = api.exec_inspect(made["Id"])["ExitCode"]
        except APIError as error:
            said = " ".join((error.explanation or str(error)).split())
            raise Definite("refused", f"{node}: {said[:120]}") from None
        except (DockerException, requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise Definite("refused", f"{node}: {type(error).__name__}") from None
        return int(code or 0), output[:OUTPUT_BYTES_MAX].decode(errors="replace")

    def _connect(self) -> Any:
        folder = self._where.get("certificates")
        tls = docker.tls.TLSConfig(
            client_cert=(f"{folder}/cert.pem", f"{folder}/key.pem"),
            ca_cert=f"{folder}/ca.pem",
            verify=True,
        ) if folder else False  # fmt: skip
        return docker.APIClient(base_url=self._where["engine"], version="auto", tls=tls)
