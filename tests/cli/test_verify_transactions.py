"""`aftershock verify` and transactions: what `check` writes of them, and whose models count."""

from __future__ import annotations

import json

from analysis.proof.source import fingerprint
from analysis.proof.verify import digest
from chaos.record.writer import write_run
from tests.cli.test_verify import forge, say

READS = 12  # more than enough for a verdict


def elle(last):
    """Transactions at once that append to two lists; the last of the readers saw `last` of 256."""
    told = ["[[:append 255 8] [:r 255 [1 8]]]", "[[:append 255 1] [:r 256 [4]]]"]
    told += ["[[:append 256 4]]", f"[[:r 255 [1 8]] [:r 256 {last}]]"]
    told += ["[[:r 255 [1 8]]]"] * READS
    lines = [
        f"{{:type {kind} :process {process} :f :txn :value {value}}}"
        for kind in (":invoke", ":ok")
        for process, value in enumerate(told)
    ]
    return "\n".join(lines) + "\n"


def test_what_check_writes_of_transactions_is_accepted(tmp_path):
    (tmp_path / "good.edn").write_text(elle("[4]"))
    (tmp_path / "bad.edn").write_text(elle("[]"))
    say("check", "good.edn", "bad.edn", cwd=tmp_path)
    code, told, _ = say("verify", "good.edn", "bad.edn", cwd=tmp_path)
    assert told.splitlines() == [
        "accepted  list-append: valid, 16 operations in order",
        "accepted  list-append: invalid, G-single",
    ]
    assert code == 0


def a_run(path, models):
    """A session that did not see what it had written: serializable, where sessions do not count."""
    payloads = ['[["w",1,1]]', '[["r",1,null]]', '[["r",1,1]]']
    rows = [
        {"process": at // 2, "node": "n1", "zone": "a", "f": "txn", "payload": text, "type": "ok",
         "start_ns": 10 * at, "end_ns": 10 * at + 1}
        for at, text in enumerate(payloads)
    ]  # fmt: skip
    run = write_run(path, {"imported": {"format": "x", "models": models}}, rows)
    (run / "proofs").mkdir()
    return run


def test_whether_sessions_count_is_what_the_run_says(tmp_path):
    for models, code in (("adya", 0), ("axiomatic", 1)):
        run = a_run(tmp_path / models, models)
        file = run / "proofs" / "serializable.json"
        body = {
            "certificate": 1, "property": "serializable", "verdict": "valid",
            "history": {"operations": 3, "sha256": fingerprint(run)}, "initial": None,
            "claims": [{"kind": "serialization", "order": [1, 0, 2]}],
        }  # fmt: skip
        file.write_text(json.dumps({**body, "digest": digest(body)}))
        found, told, _ = say("verify", str(run), cwd=tmp_path)
        assert found == code, told
        assert ("accepted" in told) == (models == "adya")
        twice = [{"kind": "snapshots", "order": [1, 1, 0, 0, 2, 2]}]
        forge(file, property="snapshot-isolation", claims=twice)
        found, told, _ = say("verify", str(run), cwd=tmp_path)
        assert found == code, told
        assert models != "adya" or "3 transactions, each with its snapshot and commit" in told
