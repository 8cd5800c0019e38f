"""Probes: what clients ask of software that we do not know, again and again, and what they
expect."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from chaos.spec.complaints import Complaint, unknown
from chaos.spec.fields import DurationNs, Model, Setting, Share, Text, Whole, Wrong
from chaos.systems.compose.project import KNOCKS, Project, Service, as_text, port_names

KINDS = ("http", "sql", "tcp", "command")
MILLISECOND_NS = 1_000_000
_STATUS = re.compile(r"[1-5]([0-9]{2}|xx)")
# Who speaks SQL there, by what the official images call their settings.
_POSTGRES = {"user": "POSTGRES_USER", "password": "POSTGRES_PASSWORD", "database": "POSTGRES_DB"}
_MYSQL = {"user": "MYSQL_USER", "password": "MYSQL_PASSWORD", "database": "MYSQL_DATABASE"}
_MARIADB = {name: word.replace("MYSQL", "MARIADB") for name, word in _MYSQL.items()}
_PORTS = {"postgres": 5432, "mysql": 3306}


def _command(value: Any) -> Any:
    """A command in one text is the shell's."""
    if isinstance(value, str):
        return ("/bin/sh", "-c", value)
    return tuple(value) if isinstance(value, list) else value


class Probe(Model):
    """One question to a service; one of `http`, `sql`, `tcp` or `command`."""

    service: Text
    """The service that is asked; its nodes in turn, where it has several."""
    http: Text | None = None
    """A path to ask for, such as /health?full=1."""
    sql: Text | None = None
    """A statement, on a connection of its own; in PostgreSQL or MySQL and MariaDB."""
    tcp: Text | None = None
    """What to send on a new connection; "" where the server speaks first. Any answer will do."""
    command: (
        Annotated[
            tuple[Text, ...],
            BeforeValidator(_command, json_schema_input_type=str | list[str]),
            Field(min_length=1),
        ]
        | None
    ) = None
    """A command in the service's container, as a list, or as one text for its shell."""
    port: Annotated[Whole, Field(ge=1, le=65535)] | None = None
    """Left out: the service's first."""
    expect: Setting | None = None
    """http: the status (200; 2xx is any such). sql: the first value of the first row, if said.
    tcp: text within the answer. command: its exit code (0)."""
    contains: Text | None = None
    """http: text within the body."""
    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    """http: the method."""
    headers: dict[Text, Text] = Field(default_factory=dict)
    """http: more headers."""
    body: Text | None = None
    """http: what to send."""
    dialect: Literal["postgres", "mysql"] | None = None
    """sql: left out, by the port."""
    user: Text | None = None
    """sql: left out, what the service's environment says."""
    database: Text | None = None
    """sql: left out, what the service's environment says."""
    password_from: Text | None = None
    """sql: the variable of the service's environment that holds the password."""
    within_ns: Annotated[DurationNs, Field(alias="within", ge=MILLISECOND_NS, le=60 * 10**9)] = (
        1000 * MILLISECOND_NS
    )
    """How long the whole answer may take; a client waits no longer."""
    every_ns: Annotated[DurationNs, Field(alias="every", ge=MILLISECOND_NS, le=3600 * 10**9)] = (
        200 * MILLISECOND_NS
    )
    """How often each client asks."""
    objective: Annotated[Share, Field(gt=0)] = 1.0
    """The share of probes that must be answered as expected for the run to be valid."""

    @property
    def kind(self) -> str:
        """Which of the four it is."""
        return next(kind for kind in KINDS if getattr(self, kind) is not None)

    @model_validator(mode="after")
    def _one_kind(self) -> Probe:
        given = [kind for kind in KINDS if getattr(self, kind) is not None]
        if len(given) != 1:
            got = " and ".join(f"`{kind}:`" for kind in given) or "none of them"
            raise Wrong(f"expected one of `http:`, `sql:`, `tcp:` or `command:`, got {got}",
                        "write another probe for another question")  # fmt: skip
        for kind, words in _ONLY.items():
            for word in words:
                name = f"{word}_ns" if f"{word}_ns" in type(self).model_fields else word
                if kind != given[0] and getattr(self, name) != type(self).model_fields[
                    name
                ].get_default(call_default_factory=True):
                    raise Wrong(f"`{word}:` belongs to `{kind}:`", "leave it out")
        if self.http is not None and not self.http.startswith("/"):
            raise Wrong(f"expected a path that begins with /, got {self.http!r}")
        if self.http is not None and re.search(r"[^!-~]", self.http):
            raise Wrong("expected a path without spaces, and with other characters as %XX")
        status = "200" if self.expect is None else str(self.expect)
        if self.http is not None and not _STATUS.fullmatch(status):
            raise Wrong(f"expected a status such as 200 or 2xx, got {status!r}")
        if self.command is not None and not re.fullmatch(r"[0-9]{1,3}", str(self.expect or 0)):
            raise Wrong(f"expected an exit code from 0 to 255, got {self.expect!r}")
        return self


_ONLY = {
    "http": ("contains", "method", "headers", "body"),
    "sql": ("dialect", "user", "database", "password_from"),
}


def check_probes(probes: Mapping[str, Probe], project: Project | None) -> Iterator[Complaint]:
    """Whether each probe can be asked of what there is."""
    for name, probe in probes.items():
        path = ("probes", name)
        if project is None:
            message = "probes are for software that we do not know: there is no `compose:`"
            yield Complaint(path=path, message=message, fix="leave them out", key=True)
            continue
        service = project.services.get(probe.service)
        if service is None:
            known = list(project.services)
            yield unknown("service", probe.service, known, (*path, "service"))
            continue
        if probe.kind == "command":
            continue
        if port_of(probe, service) is None:
            yield Complaint(
                path=(*path, probe.kind),
                message=f"which port of `{service.name}`? It names none",
                fix="write `port: 80` beside it",
                key=True,
            )
        elif probe.kind == "sql" and dialect_of(probe, service) is None:
            yield Complaint(
                path=(*path, "sql"),
                message=f"who speaks SQL at port {port_of(probe, service)} of `{service.name}`?",
                fix="write `dialect: postgres` or `dialect: mysql` beside it",
                key=True,
            )
        elif probe.password_from and probe.password_from not in service.environment:
            known = list(service.environment)
            yield unknown(
                f"variable of `{service.name}`",
                probe.password_from,
                known,
                (*path, "password_from"),
            )


def dialect_of(probe: Probe, service: Service) -> str | None:
    """Whose SQL it is, as far as the probe, its port or the service's environment say."""
    if probe.dialect or probe.kind != "sql":
        return probe.dialect
    named = {port: dialect for dialect, port in _PORTS.items()}
    if probe.port in named or (service.ports and service.ports[0] in named):
        return named.get(probe.port or 0) or named.get(service.ports[0])
    if any(word.startswith("POSTGRES_") for word in service.environment):
        return "postgres"
    mysql = any(word.startswith(("MYSQL_", "MARIADB_")) for word in service.environment)
    return "mysql" if mysql else None


def port_of(probe: Probe, service: Service) -> int | None:
    """The port that is asked; None where nobody says."""
    if probe.port or service.ports:
        return probe.port or service.ports[0]
    return _PORTS.get(dialect_of(probe, service) or "")


def asked(probe: Probe, service: Service) -> dict[str, Any]:
    """All that a client needs to ask it, as JSON. It may hold a password."""
    ports = {number: name for name, number in port_names(service.ports).items()}
    found: dict[str, Any] = {
        "kind": probe.kind,
        "service": service.name,
        "nodes": service.nodes,
        "port": ports.get(port_of(probe, service) or 0, ""),
        "ask": getattr(probe, probe.kind),
        "expect": None if probe.expect is None else as_text(probe.expect),
        "within_s": probe.within_ns / 1e9,
    }
    if probe.kind == "http":
        found |= {
            "contains": probe.contains,
            "method": probe.method,
            "headers": {"Host": service.name, **probe.headers},
            "body": probe.body,
        }
    if probe.kind == "sql":
        found |= _credentials(probe, service)
    return found


def _credentials(probe: Probe, service: Service) -> dict[str, Any]:
    """Who asks, as the official images are told it."""
    dialect = dialect_of(probe, service) or "postgres"
    told: dict[str, str] = {}
    for words in (_POSTGRES,) if dialect == "postgres" else (_MYSQL, _MARIADB):
        told |= {n: service.environment[w] for n, w in words.items() if w in service.environment}
    user = probe.user or told.get("user") or ("postgres" if dialect == "postgres" else "root")
    database = probe.database or told.get("database") or (user if dialect == "postgres" else "")
    password = told.get("password", "")
    if probe.password_from:
        password = service.environment.get(probe.password_from, "")
    elif user == "root":
        roots = ("MYSQL_ROOT_PASSWORD", "MARIADB_ROOT_PASSWORD")
        password = next((service.environment[w] for w in roots if w in service.environment), "")
    return {"dialect": dialect, "user": user, "database": database, "password": password}


def with_probes(project: Project, probes: Mapping[str, Probe]) -> Project:
    """The project with its probes, the ports that they ask, and what a live service answers."""
    services = dict(project.services)
    for probe in probes.values():
        service = services.get(probe.service)
        port = service and port_of(probe, service)
        if service is None or not port or probe.kind == "command":
            continue
        ports = tuple(dict.fromkeys([*service.ports, port]))
        knock = service.knock
        if knock is None and port == ports[0]:
            knock = _knock(probe, service, port)
        services[probe.service] = replace(service, ports=ports, knock=knock)
    found = {
        name: asked(probe, services[probe.service])
        for name, probe in probes.items()
        if probe.service in services
    }
    return replace(project, services=services, probes=found)


def _knock(probe: Probe, service: Service, port: int) -> bytes | None:
    """What tells that somebody is there and changes nothing; None: what the port's protocol has.

    A page may count its visitors, so no path of an `http` probe is asked for.
    """
    if probe.kind == "tcp" and port not in KNOCKS:
        return str(probe.tcp).encode()
    if probe.kind == "sql":
        return KNOCKS[_PORTS[dialect_of(probe, service) or "postgres"]]
    return None
