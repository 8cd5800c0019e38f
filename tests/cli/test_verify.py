"""`aftershock verify` as scripts meet it, and the certificates that `check` leaves behind."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from analysis.certificates import make, write
from analysis.checkers.base import Anomaly, CheckResult, Verdict
from analysis.proof.verify import digest
from analysis.verdict import judge
from chaos.record.reader import open_run
from chaos.record.writer import write_run

AFTERSHOCK = str(Path(sys.executable).parent / "aftershock")
LOG = """\
INFO  jepsen.util - 0\t:invoke\t:write\t1
INFO  jepsen.util - 0\t:ok\t:write\t1
INFO  jepsen.util - 1\t:invoke\t:read\tnil
INFO  jepsen.util - 1\t:ok\t:read\t{}
"""


def say(*arguments: str, cwd: Path) -> tuple[int, str, str]:
    done = subprocess.run(
        [AFTERSHOCK, *arguments], cwd=cwd, capture_output=True, text=True, timeout=60
    )
    assert "Traceback" not in done.stdout + done.stderr
    return done.returncode, done.stdout, done.stderr


def a_log(folder: Path, read: int = 1, name: str = "a.log") -> Path:
    path = folder / name
    path.write_text(LOG.format(read))
    return path


def a_run(path: Path, reads: int = 12) -> Path:
    """Acknowledged writes of a register, each read; the last one as `reads`."""
    rows = []
    for k in range(1, 13):
        for f, value, at in (("write", k, 10 * k), ("read", reads if k == 12 else k, 10 * k + 5)):
            rows.append({
                "process": 0, "node": "n1", "zone": "a", "f": f, "key": "x", "value": value,
                "type": "ok", "start_ns": at, "end_ns": at + 1,
            })  # fmt: skip
    meta = {"experiment": {"name": "x", "workload": {"name": "register"}}, "clients": {"a": 1}}
    return write_run(path, meta, rows)


def forge(file: Path, **change: object) -> None:
    body = json.loads(file.read_text()) | change
    body.pop("digest")
    file.write_text(json.dumps(body | {"digest": digest(body)}))


def test_what_check_writes_is_accepted(tmp_path):
    log, bad = a_log(tmp_path), a_log(tmp_path, 7, "b.log")
    assert say("check", "a.log", "b.log", cwd=tmp_path)[0] == 1
    code, told, _ = say("verify", "a.log", "b.log", cwd=tmp_path)
    assert code == 0
    assert told.splitlines() == [
        "accepted  linearizable-register: valid, 2 operations in order",
        "accepted  linearizable-register: invalid, thin-air-read",
    ]
    shutil.move(log, tmp_path / "renamed")
    assert say("verify", "renamed", cwd=tmp_path)[0] == 0
    assert say("check", "b.log", "--proof", "there", cwd=tmp_path)[0] == 1
    assert say("verify", str(bad), "--proof", "there", cwd=tmp_path)[0] == 0
    assert say("verify", str(bad), "--proof", "here", cwd=tmp_path)[0] == 3


def test_json_is_one_object_a_path(tmp_path):
    a_log(tmp_path)
    a_log(tmp_path, 7, "b.log")
    say("check", "a.log", cwd=tmp_path)
    code, told, _ = say("verify", "a.log", "b.log", "missing", "--json", cwd=tmp_path)
    good, none, missing = map(json.loads, told.splitlines())
    assert code == 3
    (one,) = good.pop("certificates")
    assert good == {"version": 1, "path": "a.log", "verdict": "accepted"}
    assert Path(one.pop("file")).name == "linearizable-register.json"
    assert one == {
        "property": "linearizable-register",
        "claims": "valid",
        "what": "2 operations in order",
        "accepted": True,
        "why": "",
    }
    assert none == {"version": 1, "path": "b.log", "verdict": "none", "certificates": []}
    assert missing["verdict"] == "none"
    assert "missing" in missing["why"]


def test_one_refused_is_the_verdict(tmp_path):
    a_log(tmp_path)
    a_log(tmp_path, 7, "b.log")
    say("check", "a.log", "b.log", cwd=tmp_path)
    files = list(tmp_path.glob("proofs/*/*.json"))
    bad, good = sorted(files, key=lambda file: '"verdict":"valid"' in file.read_text())
    forge(bad, verdict="valid", claims=json.loads(good.read_text())["claims"])
    code, told, _ = say("verify", "a.log", "b.log", cwd=tmp_path)
    assert code == 1
    assert told.splitlines()[1] == (
        "refused  linearizable-register: valid, but operation 1 is not possible where it stands"
    )
    good.write_text(good.read_text().replace('"order":[0,1]', '"order":[1,0]'))
    code, told, _ = say("verify", "a.log", "--json", cwd=tmp_path)
    assert code == 1
    assert json.loads(told)["certificates"][0]["why"] == "its digest is another: it was altered"


def test_what_is_no_certificate_is_refused_with_a_reason(tmp_path):
    a_log(tmp_path)
    say("check", "a.log", cwd=tmp_path)
    (file,) = tmp_path.glob("proofs/*/*.json")
    texts = ("", "{", "[]", "null", "[" * 100_000, '{"property": 7}', "\0", file.read_text()[:99])
    for number, text in enumerate(texts):
        file.with_name(f"{number}.json").write_text(text)
    file.with_name("folder.json").mkdir()
    code, told, complaint = say("verify", "a.log", cwd=tmp_path)
    assert (code, complaint) == (1, "")
    *refused, unreadable, accepted = told.splitlines()
    assert len(refused) == len(texts)
    assert [line for line in refused if not line.partition(", but it is no ")[2]] == []
    assert unreadable.startswith("refused  folder, but it cannot be read: ")
    assert accepted.startswith("accepted  linearizable-register: valid")


def test_a_forged_initial_value_shows_nothing(tmp_path):
    a_log(tmp_path, 7)
    assert say("check", "a.log", "--initial", "7", cwd=tmp_path)[0] == 1
    assert say("verify", "a.log", "--initial", "7", cwd=tmp_path)[0] == 0
    code, told, _ = say("verify", "a.log", cwd=tmp_path)
    assert code == 1
    assert "initial value" in told


def test_no_text_of_a_certificate_reaches_the_terminal_as_it_is(tmp_path):
    a_log(tmp_path)
    say("check", "a.log", cwd=tmp_path)
    (file,) = tmp_path.glob("proofs/*/*.json")
    forge(file, property="\x1b[31m[red]x", verdict="[bold]\x07")
    code, told, _ = say("verify", "a.log", cwd=tmp_path)
    assert code == 1
    assert "\x1b" not in told
    assert "\x07" not in told
    assert "[red]x: [bold]" in told


def test_a_run_keeps_its_own(tmp_path):
    good, bad = a_run(tmp_path / "good"), a_run(tmp_path / "bad", reads=3)
    assert say("check", "good", "bad", cwd=tmp_path)[0] == 1
    assert (good / "proofs" / "linearizable-register.json").is_file()
    assert say("verify", "good", "bad", cwd=tmp_path)[0] == 0
    shutil.copytree(good / "proofs", bad / "proofs", dirs_exist_ok=True)
    code, told, _ = say("verify", "bad", cwd=tmp_path)
    assert code == 1
    assert "it is about another history" in told


def result_of(run: Path, folder: Path) -> dict:
    return judge(open_run(run), proofs=folder)


def test_a_folder_that_cannot_be_written_is_a_note(tmp_path):
    run = a_run(tmp_path / "run")
    (tmp_path / "file").write_text("")
    results = result_of(run, tmp_path / "file" / "proofs")
    assert results["verdict"] == "valid"
    assert results["checks"][0]["proof"] is None
    assert "no certificate of linearizable-register could be written" in results["notes"][-1]


def test_a_run_that_takes_no_certificate_is_judged_all_the_same(tmp_path):
    run = a_run(tmp_path / "run")
    (run / "proofs").write_text("")  # what root may not write into either
    code, told, _ = say("check", "run", cwd=tmp_path)
    assert code == 0
    assert "note: no certificate of linearizable-register could be written" in " ".join(
        told.split()
    )


def test_a_full_disk_is_a_note_and_leaves_what_was_there(tmp_path, monkeypatch):
    run, folder = a_run(tmp_path / "run"), tmp_path / "proofs"
    before = (folder / result_of(run, folder)["checks"][0]["proof"]).read_bytes()
    written = Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        written(path, data[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    results = result_of(run, folder)
    assert results["verdict"] == "valid"
    assert "No space left on device" in results["notes"][-1]
    (file,) = folder.iterdir()
    assert file.read_bytes() == before


def test_checks_at_once_leave_one_whole_certificate(tmp_path):
    run, folder = a_run(tmp_path / "run"), tmp_path / "proofs"
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: result_of(run, folder), range(24)))
    assert {result["verdict"] for result in results} == {"valid"}
    assert [result["notes"] for result in results if result["notes"]] == []
    (file,) = folder.iterdir()
    assert json.loads(file.read_bytes())["verdict"] == "valid"


def test_an_old_certificate_goes_when_there_is_none_now(tmp_path):
    run, folder = open_run(a_run(tmp_path / "run")), tmp_path / "proofs"
    claim = {"kind": "figures", "figures": {"ids": 1, "distinct": 1}}
    known = CheckResult(property="unique-ids", verdict=Verdict.VALID, why="", claim=claim)
    assert write(known, run, folder) == folder / "unique-ids.json"
    unknown = CheckResult(property="unique-ids", verdict=Verdict.UNKNOWN, why="")
    assert write(unknown, run, folder) is None
    assert list(folder.iterdir()) == []
    anomaly = Anomaly(name="duplicate-id", count=1, first_ns=0, operations=(0,), argument="")
    bare = CheckResult(property="unique-ids", verdict=Verdict.INVALID, why="", anomalies=(anomaly,))
    assert make(bare, run) is None


def test_fractions_and_odd_texts_keep_their_digest(tmp_path):
    run = open_run(a_run(tmp_path / "run"))
    claim = {"kind": "figures", "figures": {}, "values": [1e16, 1e-7, -0.0, "é\u2028", 2**80]}
    known = CheckResult(property="set", verdict=Verdict.VALID, why="", claim=claim)
    body = json.loads(make(known, run))
    assert body.pop("digest") == digest(body)
