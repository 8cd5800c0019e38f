"""What local-first peers are told, and what is made of their answers."""

from __future__ import annotations

import dataclasses
import http.client
import json

import pytest

from chaos.systems.base import Observation, classify
from chaos.systems.localfirst.client import PeerRefuses
from chaos.systems.localfirst.conf import container, dialled
from chaos.systems.localfirst.system import SYSTEM, observation


@pytest.fixture
def peers(nodes):
    return [dataclasses.replace(node, role=None) for node in nodes]


def with_role(nodes, at, role):
    return [dataclasses.replace(n, role=role) if k == at else n for k, n in enumerate(nodes)]


def names(nodes):
    return [node.name for node in nodes]


def test_of_each_two_peers_one_dials(peers):
    assert [names(dialled(node, peers)) for node in peers] == [[], ["n1"], ["n1", "n2"]]


def test_with_relays_members_dial_these_alone(peers):
    met = with_role(peers, 1, "relay")
    assert [names(dialled(node, met)) for node in met] == [["n2"], [], ["n2"]]
    two = with_role(met, 2, "relay")
    assert [names(dialled(node, two)) for node in two] == [["n2", "n3"], [], ["n2"]]


def test_a_peer_is_told_who_it_is_and_by_which_rule_it_goes(peers):
    ruled = with_role(peers, 1, "arbiter")
    specs = [container(node, ruled, {"rule": "arbiter", "silence": "1s"}) for node in ruled]
    told = [json.loads(spec.files["/etc/localfirst/peer.json"]) for spec in specs]
    assert [each["name"] for each in told] == ["n1", "n2", "n3"]
    assert {each["rule"] for each in told} == {"arbiter"}
    assert {(each["heartbeat_ms"], each["silence_ms"]) for each in told} == {(250, 1000)}
    assert told[2]["urls"] == {
        "n1": "ws://198.18.7.10:7600/sync",
        "n2": "ws://198.18.7.11:7600/sync",
    }
    assert len({each["seed"] for each in told}) == 3
    assert {len(bytes.fromhex(each["seed"])) for each in told} == {32}
    assert {spec.data_dir for spec in specs} == {"/var/lib/localfirst"}


@pytest.mark.parametrize(
    ("role", "settings", "words"),
    [
        (None, {}, None),
        ("relay", {"rule": "naive"}, None),
        ("arbiter", {"rule": "arbiter"}, None),
        (None, {"rule": "arbiter"}, "there are 0"),
        ("arbiter", {"rule": "causal"}, "nobody asks an arbiter"),
        ("primary", {}, "expected arbiter or relay, got 'primary'"),
        (None, {"rule": "none"}, "settings.rule: expected a value matching"),
        (None, {"silence": "long"}, "settings.silence"),
    ],
)
def test_what_cannot_be_is_said(peers, role, settings, words):
    said = list(SYSTEM.check(with_role(peers, 0, role), settings))
    assert len(said) == (words is not None)
    assert words is None or words in said[0]


def test_relays_alone_have_nobody_who_edits(peers):
    only = [dataclasses.replace(node, role="relay") for node in peers]
    assert ["there are no members" in said for said in SYSTEM.check(only, {})] == [True]
    two = [dataclasses.replace(node, role="arbiter") for node in peers]
    assert ["there are 3" in said for said in SYSTEM.check(two, {"rule": "arbiter"})] == [True]


STATE = {
    "name": "n1", "heads": ["a1b2c3d4e5f6"], "members": ["n1", "n2"], "changes": 7,
    "relay": False, "unsynced": {"n2": 3},
}  # fmt: skip


def test_who_may_edit_is_a_member():
    seen = observation(STATE)
    assert seen.role == "member"
    assert seen.note == "heads a1b2c3d4; 7 changes; connected: n2 lacks 3"
    assert observation({**STATE, "members": ["n2"]}).role == "replica"
    relay = observation({**STATE, "relay": True, "heads": [], "unsynced": {}})
    assert relay == Observation(
        role="replica",
        note="relay; heads none: no document; 7 changes; connected: nobody",
    )


@pytest.mark.parametrize(
    ("error", "definite", "code"),
    [
        (PeerRefuses("no-document: this peer has no document yet"), True, "no-document"),
        (PeerRefuses("cannot-store: ENOSPC: no space left"), False, "cannot-store"),
        (PeerRefuses("internal: revoked was not defined"), False, "peer-failed"),
        (PeerRefuses("status 502: bad gateway"), False, "unknown"),
        (TimeoutError("timed out"), False, "timeout"),
        (ConnectionResetError("reset"), False, "connection-lost"),
        (http.client.RemoteDisconnected("closed"), False, "connection-lost"),
        (http.client.IncompleteRead(b""), False, "broken-answer"),
    ],
)
def test_errors(error, definite, code):
    judged, text = classify(error, SYSTEM.errors)
    assert (judged, text.split(":")[0]) == (definite, code)


@pytest.mark.parametrize(("ask", "answer"), [(0, 2_000), (300_000, 640), (5, 5)])
def test_a_request_of_a_given_size_is_whole(ask, answer):
    send = SYSTEM.bulk("db", ask, answer)
    head, _, body = send.partition(b"\r\n\r\n")
    assert len(send) >= ask
    assert int(head.rpartition(b"Content-Length: ")[2]) == len(body)
    assert json.loads(body) == {"answer_bytes": answer}
