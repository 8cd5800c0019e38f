"""Predictions made before a reveal: locked, then scored.

A trainee gives each question of a story a probability. `lock` writes them to `predictions.json` in
the run directory with the time and a SHA-256 over (question, probability, nonce), once: a second
lock is refused, and `read_locked` refuses a file whose figures no longer match their digests.
Brier score: mean of (p - o)², 0 is best (G. W. Brier, 1950). Log score: mean of -ln(probability
given to what happened).
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from analysis.compare import acknowledged_writes, anomalies, lost_writes
from chaos.errors import RecordError
from chaos.record.rundir import read_json

PREDICTIONS = "predictions.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A locked probability (0-1) that a question's answer is yes."""

    question: str  # its id in the story
    probability: float
    nonce: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """One question after the reveal. `happened` and the scores are None where nothing can tell."""

    question: str
    probability: float
    happened: bool | None
    brier: float | None
    log: float | None


def brier(probability: float, happened: bool) -> float:
    """(p - o)²: 0 for a sure and right answer, 1 for a sure and wrong one."""
    return (probability - happened) ** 2


def log_score(probability: float, happened: bool) -> float:
    """-ln of the probability given to what happened; infinite for a sure and wrong answer."""
    given = probability if happened else 1 - probability
    return -math.log(given) if given > 0 else math.inf


def happened(outcome: Mapping[str, Any], results: Mapping[str, Any]) -> bool | None:
    """Whether a story question's `outcome` came true in a run's `results.json`; None: unknown.

    Kinds: anomaly (name, at_least), lost_share_at_least (share), two_primaries,
    availability_below (share of requests). RecordError for any other.
    """
    kind = outcome.get("kind")
    if kind == "anomaly":
        found = anomalies(results).get(str(outcome["name"]), 0) >= int(outcome.get("at_least", 1))
        return found or (None if results.get("verdict") in (None, "unknown") else False)
    if kind == "lost_share_at_least":
        lost, acknowledged = lost_writes(results), acknowledged_writes(results)
        return None if lost is None or not acknowledged else lost / acknowledged >= outcome["share"]
    if kind == "two_primaries":
        seconds = (results.get("primaries") or {}).get("two_at_once_s")
        return None if seconds is None else seconds > 0
    if kind == "availability_below":
        share = (results.get("availability") or {}).get("by_requests")
        return None if share is None else share < outcome["share"]
    raise RecordError(f"a story asks for an outcome of kind {str(kind)[:40]!r}, which is not known")


def lock(run: Path, answers: Mapping[str, float]) -> list[Answer]:
    """Write `answers` (question id → probability) into the run directory, once and for good.

    RecordError when a probability is not within 0-1, or predictions are there already.
    """
    for question, probability in answers.items():
        if not 0 <= probability <= 1:
            raise RecordError(f"{question}: expected a probability from 0 to 1, got {probability}")
    locked = [_answer(question, float(p), secrets.token_hex(16)) for question, p in answers.items()]
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    data = {"version": 1, "locked_utc": now, "answers": [asdict(answer) for answer in locked]}
    try:
        with (run / PREDICTIONS).open("x", encoding="utf-8") as out:
            json.dump(data, out, indent=1)
            out.write("\n")
            out.flush()
            os.fsync(out.fileno())
    except FileExistsError:
        raise RecordError(
            f"predictions for {run.name} are locked already; they cannot be changed",
            fix="play the story again for a new run",
        ) from None
    except OSError as error:
        raise RecordError(f"predictions cannot be kept in {run}: {error.strerror}") from None
    return locked


def read_locked(run: Path) -> list[Answer]:
    """The locked answers; RecordError when there are none or they were changed afterwards."""
    data = read_json(run / PREDICTIONS)
    try:
        answers = [Answer(**entry) for entry in data["answers"]]
        again = [_answer(a.question, a.probability, a.nonce) for a in answers]
    except (KeyError, TypeError, ValueError) as error:
        raise RecordError(f"{run / PREDICTIONS} is not what was locked: {error!r}") from None
    for answer, expected in zip(answers, again, strict=True):
        if answer.sha256 != expected.sha256:
            raise RecordError(
                f"{run / PREDICTIONS}: {answer.question!r} was changed after it was locked"
            )
    return answers


def score(
    answers: Sequence[Answer],
    questions: Sequence[Mapping[str, Any]],
    results: Mapping[str, Mapping[str, Any]],
) -> list[Scored]:
    """Score each question that was answered, in the story's order.

    `questions` are the story's as plain dicts (id, about, outcome); `results` holds the
    `results.json` of each run by what questions call it: "run" (as it happened) and "fix".
    """
    given = {answer.question: answer.probability for answer in answers}
    scored = []
    for question in questions:
        if question["id"] not in given:
            continue
        p = given[question["id"]]
        came = happened(question["outcome"], results.get(question["about"]) or {})
        scored.append(
            Scored(
                question=question["id"],
                probability=p,
                happened=came,
                brier=None if came is None else brier(p, came),
                log=None if came is None else log_score(p, came),
            )
        )
    return scored


def mean_brier(scored: Sequence[Scored]) -> float | None:
    """The mean Brier score over the questions that have one."""
    known = [s.brier for s in scored if s.brier is not None]
    return sum(known) / len(known) if known else None


def _answer(question: str, probability: float, nonce: str) -> Answer:
    text = json.dumps([question, probability, nonce], ensure_ascii=False)
    digest = hashlib.sha256(text.encode()).hexdigest()
    return Answer(question=question, probability=probability, nonce=nonce, sha256=digest)
