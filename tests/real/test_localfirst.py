"""The program of local-first peers: what three of them show, by each rule, of who was revoked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import docker
import pytest

from chaos.runtime import images

pytestmark = [
    pytest.mark.real,
    pytest.mark.usefixtures("beside"),
    pytest.mark.timeout(600),
]

SCRIPT = Path(__file__).with_name("localfirst.mjs")
# n3 adds 1, is cut off, adds 2, is revoked by n1, adds 3; healed; admitted again, it adds 4.
CUT = [[[1], []], [[1], []], [[1, 2, 3], []]]  # what n1, n2 and n3 show, and have rolled back
HEALED = {
    "naive": [[[1, 2], [3]], [[1, 2], [3]], [[1, 2, 3], []]],
    "causal": [[[1, 2, 3], []]] * 3,
    "arbiter": [[[1], [2, 3]]] * 3,
}


@pytest.fixture(scope="module")
def found(engine_client: docker.DockerClient) -> dict[str, Any]:
    """What the script printed, run in the image."""
    ids = images.ensure(["localfirst"], client=engine_client, progress=lambda *_: None)
    said: bytes = engine_client.containers.run(
        ids["localfirst"],
        ["node", "--input-type=module", "-e", SCRIPT.read_text()],
        working_dir="/opt/peer",
        remove=True,
    )
    answer: dict[str, Any] = json.loads(said)
    return answer


@pytest.mark.parametrize("rule", HEALED)
def test_what_peers_show_of_an_edit_beside_its_authors_revocation(
    found: dict[str, Any], rule: str
) -> None:
    told = found[rule]
    assert told["cut"] == CUT
    assert told["healed"] == HEALED[rule]
    assert told["refused"] == "revoked"
    assert told["admitted"] == [[[*shown, 4], rolled] for shown, rolled in HEALED[rule]]
    assert told["restarted"] == told["admitted"]
    assert told["heads"] == 1
    seals = 2 if rule == "arbiter" else 0
    assert told["changes"] == [7 + seals] * 3  # the document, four adds, two words of the admin


def test_what_does_not_belong_to_a_document_is_refused(found: dict[str, Any]) -> None:
    told = found["forged"]
    assert "is not signed by its author" in told["wrong"]
    assert (told["right"], told["twice"]) == ("done", "done")
    assert "came before what it depends on" in told["gap"]
    assert (told["admin"], told["nobody"]) == ("not-admin", "unknown-member")


def test_a_ledger_ends_where_it_cannot_be_read(found: dict[str, Any]) -> None:
    assert found["forged"]["torn"] is True  # what was whole is there
    assert found["forged"]["damaged"] == 2  # of four changes, the third is damaged
