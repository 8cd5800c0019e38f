"""Compose files: what is understood, what is refused and where, and never a traceback."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from chaos.errors import SpecError
from chaos.spec.compose import keys
from chaos.spec.compose.variables import Unfilled, fill, parse_env
from chaos.spec.files import load_compose, load_topology
from chaos.spec.load import parse_document
from chaos.spec.target import WORDS
from chaos.systems.compose.project import COMPLETED, HEALTHY, STARTED, TAKEN, Project, Service
from tests.spec.conftest import Write, said


def project(path: Path) -> Project:
    found = load_compose(path).topology.project
    assert found is not None
    return found


def service(write: Write, keys: str, **files: str) -> Service:
    """The service `x` with these keys."""
    text = f"services:\n  x:\n    image: some/image\n{keys}"
    return project(write(text, **files)).services["x"]


KNOWN = {"A": "a", "EMPTY": "", "B": "b$x"}


@pytest.mark.parametrize(("text", "expected"), [
    ("plain", "plain"), ("$A-${A}", "a-a"), ("$$A", "$A"), ("100$$", "100$"), ("$B", "b$x"),
    ("${NONE:-d}", "d"), ("${EMPTY:-d}", "d"), ("${EMPTY-d}", ""), ("${NONE-d}", "d"),
    ("${A:+yes}", "yes"), ("${EMPTY:+yes}", ""), ("${EMPTY+yes}", "yes"), ("${NONE+yes}", ""),
    ("${NONE:-${A}x}", "ax"), ("${NONE:-${NOT:-{}}}", "{}"), ("${A:?must}", "a"),
    ("a:${NONE:-80}/b", "a:80/b"), ("${NONE}", ""),
])  # fmt: skip
def test_variables_are_filled_in(text: str, expected: str) -> None:
    assert fill(text, KNOWN)[0] == expected


@pytest.mark.parametrize(("text", "part"), [
    ("$", "expected a variable's name"), ("${", "expected a variable's name"),
    ("${A", "never closed"), ("${A!}", "expected `:-`"), ("${NONE?}", "must be set"),
    ("${EMPTY:?say $A}", "must be set: say a"), ("${1}", "expected a variable's name"),
    ("${N:-" * 20 + "}" * 20, "nested"),
])  # fmt: skip
def test_variables_that_cannot_be_filled_in(text: str, part: str) -> None:
    with pytest.raises(Unfilled, match=part.replace("$", r"\$")):
        fill(text, KNOWN)


@given(st.text(st.sampled_from("${}:-+?AB a"), max_size=30))
def test_filling_ends_with_text_or_a_reason(text: str) -> None:
    with contextlib.suppress(Unfilled):
        found, unset = fill(text, KNOWN)
        assert isinstance(found, str)
        assert not {*unset} & {*KNOWN}


@given(st.text(st.characters(exclude_characters="$", exclude_categories=["Cs"])))
def test_a_text_without_dollars_stays_and_doubled_dollars_come_back(text: str) -> None:
    assert fill(text, {}) == (text, [])
    assert fill(text.replace("a", "$$"), {}) == (text.replace("a", "$"), [])


def test_env_files() -> None:
    lines = (
        "# comment", "", "export A=1", "B = two words # comment", "C='$A # kept'",
        'D="x $A\\ny"', "E=${NO:-e}",
    )  # fmt: skip
    text = "\n".join(lines)
    assert parse_env(text, ".env") == {
        "A": "1", "B": "two words", "C": "$A # kept", "D": "x 1\ny", "E": "e",
    }  # fmt: skip
    with pytest.raises(Unfilled, match="some:2: expected NAME=value, got `=1`"):
        parse_env("A=1\n=1\n", "some")


def test_variables_come_from_the_topology_then_the_process_then_the_file(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AFTERSHOCK_TEST_B", "process")
    names = "ABC"
    file = "".join(f"AFTERSHOCK_TEST_{name}=file\n" for name in names)
    lines = "".join(f"      {n}: ${{AFTERSHOCK_TEST_{n}}}\n" for n in names)
    path = write(f"services:\n  x:\n    image: i:1\n    environment:\n{lines}", __env=file)
    topology = path.parent / "mine.yaml"
    topology.write_text(
        f"name: mine\ncompose: {path.name}\nvariables: {{AFTERSHOCK_TEST_A: given}}\n"
    )
    found = load_topology(topology).topology.project
    assert found is not None
    assert found.services["x"].environment == {"A": "given", "B": "process", "C": "file"}


def test_anchors_and_merge_keys(write: Write) -> None:
    path = write(
        "x-base: &base\n  image: base:1\n  environment: &env {A: base, B: base}\n"
        "x-more: &more {image: more:1, working_dir: /more}\n"
        "services:\n  one:\n    <<: *base\n  two:\n    <<: [*base, *more]\n"
        "    environment:\n      <<: *env\n      B: own\n"
    )
    services = project(path).services
    assert [services[name].image for name in ("one", "two")] == ["base:1", "base:1"]
    assert services["two"].environment == {"A": "base", "B": "own"}
    assert services["two"].options == {"working_dir": "/more"}
    ours = parse_document("a: &a {x: 1}\nb: {<<: *a}\n", "ours")  # files of ours have none
    assert [f.message for f in ours.findings] == ["merge keys (`<<`) are not supported"]


@pytest.mark.parametrize(("written", "expected"), [
    ('["8080:80"]', [80]), ("[80]", [80]), ('["127.0.0.1:8080:80/tcp"]', [80]),
    ('["9000-9002:80-82"]', [80, 81, 82]), ('["[::1]:8080:80"]', [80]), ('["53:53/udp"]', []),
    ("[{target: 80, published: 8080}]", [80]), ('["80", "80"]', [80]),
])  # fmt: skip
def test_ports(write: Write, written: str, expected: list[int]) -> None:
    assert service(write, f"    ports: {written}\n").ports == expected


def test_the_port_that_tells_life_is_the_first_one_said(write: Write) -> None:
    found = service(write, "    ports: ['1:80']\n    expose: [81]\n    x-chaos: {port: 82}\n")
    assert found.ports == [82, 80, 81]


def test_commands_and_environments(write: Write) -> None:
    found = service(
        write,
        "    command: run --name 'two words' $$HOME\n    entrypoint: [/bin/start, '-x']\n"
        "    env_file: [one.env, {path: none.env, required: false}]\n"
        "    environment: [A=own, 'B=x=y', AFTERSHOCK_TEST_UNSET]\n",
        one__env="A=file\nF='f'\n",
    )
    assert found.command == ["run", "--name", "two words", "$HOME"]
    assert found.entrypoint == ["/bin/start", "-x"]
    assert found.environment == {"A": "own", "F": "f", "B": "x=y"}


def test_volumes_and_lent_files(write: Write) -> None:
    path = write(
        "services:\n"
        "  one:\n    image: i\n    volumes: [own:/own, both:/both, ./web.conf:/etc/web.conf:ro,"
        " ./absent:/absent, /anonymous, {type: tmpfs, target: /run}]\n"
        "    secrets: [token, {source: token, target: /else, mode: 0o400}]\n    configs: [motto]\n"
        "  two:\n    image: i\n    volumes: [both:/both]\n"
        "volumes: {own: , both: }\n"
        "secrets: {token: {file: ./token.txt}}\nconfigs: {motto: {content: '$$x'}}\n",
        web__conf="conf",
        token__txt="token",
    )
    one, two = project(path).services.values()
    assert (one.data, dict(one.volumes)) == ("/absent", {
        "/own": "own", "/both": "both", "/anonymous": "one-2",
    })  # fmt: skip
    assert (two.data, dict(two.volumes)) == (None, {"/both": "both"})
    copies = {c.target: (c.source and c.source.name, c.text, c.mode) for c in one.copies}
    assert copies == {
        "/etc/web.conf": ("web.conf", "", None),
        "/run/secrets/token": ("token.txt", "", 0o444),
        "/else": ("token.txt", "", 0o400),
        "/motto": (None, "$x", 0o444),
    }
    assert one.options["tmpfs"] == {"/run": ""}


def test_a_named_volume_of_one_node_is_its_own(write: Write) -> None:
    text = "services:\n  a: {image: i, volumes: ['v:/v']}\n%svolumes: {v: }\n"
    assert project(write(text % "")).services["a"].data == "/v"
    other = "  b: {image: i, volumes: ['v:/w']}\n"
    assert project(write(text % other)).services["a"].data is None


def test_what_waits_for_what(write: Write) -> None:
    path = write(
        "services:\n  a:\n    image: i\n"
        "    healthcheck: {test: [CMD, ok], interval: 1m30s, retries: 2}\n"
        "  b: {image: i, depends_on: [a]}\n"
        "  c:\n    image: i\n    depends_on:\n      a: {condition: service_healthy}\n"
        "      b: {condition: service_completed_successfully}\n      d: {required: false}\n"
        "  d: {image: i, profiles: [debug]}\n"
    )
    services = project(path).services
    assert [(n.service, n.condition) for n in services["b"].needs] == [("a", STARTED)]
    assert [(n.service, n.condition) for n in services["c"].needs] == [
        ("a", HEALTHY), ("b", COMPLETED), ("d", STARTED),
    ]  # fmt: skip
    health = services["a"].health
    assert health is not None
    assert (list(health.command), health.interval_ns, health.retries) == (["ok"], 90 * 10**9, 2)
    assert "d" not in services


def test_nodes_zones_and_names(write: Write) -> None:
    path = write(
        "services:\n"
        "  my_web:\n    image: i\n    deploy: {replicas: 3}\n    x-chaos: {zones: [a, b]}\n"
        "    networks: {front: {aliases: [www]}}\n"
        "  db: {image: i, labels: ['x-chaos.zone=b'], container_name: the-db}\n"
        "  other: {image: i, links: ['db:database']}\n"
        "networks: {front: }\nx-chaos: {regions: {r: {zones: [a, b]}}, clients: {b: 2}}\n"
    )
    topology = load_compose(path).topology
    assert topology.name == "some-project"
    assert {name: node.zone for name, node in topology.nodes.items()} == {
        "my-web-1": "a", "my-web-2": "b", "my-web-3": "a", "db": "b", "other": "a",
    }  # fmt: skip
    assert topology.clients == {"b": 2}
    services = project(path).services
    assert services["my_web"].names == ("my_web", "www")
    assert services["db"].names == ("db", "the-db", "database")


def test_a_compose_file_alone_is_one_zone_with_one_client(write: Write) -> None:
    topology = load_compose(write("name: Mine\nservices: {x: {image: redis}}\n")).topology
    assert (topology.name, topology.zones(), topology.clients) == (
        "Mine",
        ["zone-a"],
        {"zone-a": 1},
    )
    assert project(write("services: {x: {image: redis}}\n")).services["x"].image == "redis:latest"


def test_what_a_run_stores_can_be_run_again(write: Write, tmp_path: Path) -> None:
    path = write("services: {x: {image: i, ports: ['80'], environment: {A: $A}}}\n")
    mine = path.parent / "mine.yaml"
    probes = "probes: {p: {service: x, http: /, objective: 90%}}\n"
    mine.write_text(f"name: mine\ncompose: {path.name}\nvariables: {{A: told}}\n{probes}")
    before = load_topology(mine).topology
    stored = tmp_path / "elsewhere.yaml"
    stored.write_text(json.dumps(before.resolved()), encoding="utf-8")
    after = load_topology(stored).topology
    assert after == before
    assert after.project is not None
    assert after.project.services["x"].environment == {"A": "told"}


def test_no_node_is_called_as_a_target_is(write: Write) -> None:
    assert {*TAKEN} == {*WORDS, "random"}
    path = write("services: {primary: {image: i}, all: {image: i, scale: 2}}\n")
    assert list(load_compose(path).topology.nodes) == ["primary-1", "all-1", "all-2"]
    assert project(path).services["primary"].names == ("primary",)


def test_a_topology_beside_it_wins(write: Write) -> None:
    path = write(
        "services: {x: {image: i}}\nx-chaos: {regions: {r: {zones: [a, b]}}, about: its}\n"
    )
    mine = path.parent / "mine.yaml"
    mine.write_text(f"name: mine\nabout: mine\ncompose: {path.name}\nnodes: {{x: {{zone: b}}}}\n")
    topology = load_topology(mine).topology
    assert (topology.about, topology.nodes["x"].zone, topology.zones()) == ("mine", "b", ["a", "b"])
    mine.write_text(
        f"name: mine\ncompose: {path.name}\nnodes: {{y: {{zone: b}}}}\nsettings: {{a: 1}}\n"
    )
    assert said(mine) == [
        "3:9: unknown node `y`: no service is called so",
        "4:1: expected either `settings:` or `compose:`, got both",
    ]
    mine.write_text("name: mine\ncompose: none.yml\n")
    assert said(mine) == ["2:10: expected a Compose file, found none at `none.yml`"]
    mine.write_text("name: mine\nsystem: compose\nregions: {r: {zones: [a]}}\nnodes: 1\n")
    assert any("`compose:` is absent" in each for each in said(mine))


WRONG = """\
services:
  web:
    build: ./none
    imagee: x
    privileged: true
    network_mode: host
    devices: [/dev/fuse]
    tty: true
    ports: ["http:80", {published: 80}]
    depends_on: {cache: {condition: healthy}, none: }
    volumes: [data:/data, none:/x, ./x:relative, "a:b:c:d:e", /dev/null:/s]
    secrets: [none]
    x-chaos: {zone: us-east, prot: 80}
    mem_limit: lots
    healthcheck: {test: [RUN, x], interval: 5}
  cache:
    image: aftershock/redos
    depends_on: {cache: {condition: service_healthy}}
  none of these: {image: x}
  nothing:
volumes: {data: {external: true}}
include: [other.yml]
x-chaos: {regions: {r: {zones: [us-east-a]}}, without: [tty, network_mode], zones: {}}
"""


def test_all_that_is_wrong_is_said_at_once_and_where(write: Write) -> None:
    assert said(write(WRONG)) == [
        "3:12: expected a folder to build in, found none at `./none`",
        "4:5: unknown key `imagee` of the service `web`",
        "5:5: `privileged` is not supported: a node has no added privilege, so that nothing it does"
        " leaves its pod",
        "7:5: `devices` is not supported: a node has no added privilege, so that nothing it does"
        " leaves its pod",
        "9:13: expected HOST:CONTAINER, got `http:80`",
        "9:24: expected the key `target`, found none",
        "10:37: expected one of service_started, service_healthy, service_completed_successfully,"
        " got `healthy`",
        "10:52: `web` waits for the service `none`; there is none",
        "11:27: unknown volume `none`; declared: data",
        "11:36: expected an absolute path inside the container, got `relative`",
        "11:50: expected SOURCE:TARGET:OPTIONS, got `a:b:c:d:e`",
        "11:63: /dev/null cannot be lent to a container: null is a socket or a device of this host",
        "12:15: unknown secret `none`; declared: none",
        "13:21: unknown zone `us-east`; known: us-east-a",
        "13:30: unknown key `prot` of a service's x-chaos",
        "14:16: expected a size, got `lots`",
        "15:25: expected CMD, CMD-SHELL or NONE first, got `RUN`",
        "15:45: expected a duration up to 24h, got `5`",
        "17:12: " + next(each for each in said(write(WRONG)) if "aftershock/redos" in each)[7:],
        "18:5: `cache` waits for itself",
        "18:25: `cache` waits for `cache` to be healthy: it has no healthcheck",
        "19:3: expected a service's name of letters, digits, `-`, `_` and `.`, at most 40, got"
        " `none of these`",
        "20:3: expected a service, `nothing` is empty",
        "20:3: expected `image:` or `build:` for the service `nothing`, found neither",
        "21:18: `external` is not supported: volumes are made for a run, and removed with it",
        "22:1: `include` is not supported: write its services into this file",
        "23:57: `tty` is no key that could be left out",
        "23:77: unknown key `zones` of x-chaos",
    ]


def test_what_is_left_out_is_said(write: Write) -> None:
    path = write(
        "services:\n  x:\n    image: i\n    privileged: true\n    network_mode: host\n"
        "    tty: true\n"
        "    init: false\n    deploy: {placement: {}}\n    volumes: [./here:/there]\n"
        "    environment: {A: $AFTERSHOCK_TEST_UNSET}\n  y: {image: i, profiles: [p]}\n"
        "x-chaos: {without: [privileged, network_mode]}\n",
        here="file",
    )
    notes = load_compose(path).notes
    assert [(note.line, note.message) for note in sorted(notes, key=lambda n: n.line)] == [
        (4, "`privileged` is left out, as `without:` says"),
        (5, "`network_mode` is left out, as `without:` says"),
        (6, "`tty` is left out: nobody types"),
        (8, "`placement` is left out: it is for Swarm"),
        (9, "./here is copied: what the service writes there stays in its container"),
        (10, "the variable `AFTERSHOCK_TEST_UNSET` has no value, and counts as empty"),
        (11, "`y` is left out: it has a profile, and none is chosen"),
    ]


NAMES = (*keys.UNDERSTOOD, *keys.HARMLESS, *keys.REFUSED, "x-any", "typo", "<<")
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 70_000), st.floats(allow_nan=False),
    st.sampled_from(["a:b", "./x:/y", "${A", "$A", "80:80", "CMD", "1s", "64m", "data", "", "/"]),
    st.text(max_size=8),
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.one_of(st.sampled_from(NAMES), st.sampled_from(
                ["test", "condition", "source", "target", "type", "context", "file", "limits",
                 "memory", "soft", "http", "service", "regions", "zones", "clients"]
            )), inner, max_size=3,
        ),
    ),
    max_leaves=6,
)  # fmt: skip


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=6),
    st.dictionaries(
        st.sampled_from([*keys.TOP, *keys.TOP_REFUSED, "x-chaos", "typo"]), VALUES, max_size=3
    ),
)
@example({"image": "i", "build": None}, {"services": [1]})
@example(
    {"depends_on": {"x": None}, "image": "i"}, {"x-chaos": {"regions": {"a": {"zones": [[]]}}}}
)
@example({"image": "i", "healthcheck": {"test": []}, "deploy": {"resources": []}}, {})
def test_any_file_is_read_or_refused(tmp_path: Path, keys: dict[str, Any], top: dict[str, Any]
                                     ) -> None:  # fmt: skip
    path = tmp_path / "docker-compose.yml"
    path.write_text(yaml.safe_dump({"services": {"x": keys, "y": {"image": "i"}}, **top}))
    with contextlib.suppress(SpecError):  # whatever is said: it is for people
        load_compose(path)
