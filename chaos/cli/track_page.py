"""The track record as text: what is kept of a run, whether a pair holds, and the page. All pure.

What is kept, `docs/track-record.json`: `{"version": 1, "runs": {experiment: {seed: Kept}}}`, Kept
as `kept` makes it. A run that did not end has only `code`, `date` and `error`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chaos.spec.track_record import Pair, TrackRecord

VERSION = 1
Kept = Mapping[str, Any]
Runs = Mapping[str, Mapping[str, Kept]]  # experiment → seed, as text → what is kept of the run
HOLDS, DIFFERS, OPEN = "holds", "differs", "not run"

INTRO = """# Track record

Pairs of experiments on real databases that differ in what a team would argue about. Each is run
with the same seeds: with the weak setting the anomaly must be found, with the strong one the
verdict must be `valid`, and every verdict's certificate is re-checked by a program of which no
checker is part ([certificates.md](certificates.md)). Where it came out otherwise, that is what
stands here.

`make track-record` runs what has changed since and writes this page from
[track-record.json](track-record.json); `aftershock track-record --only NAME --again` runs one pair
anew. Databases, schedulers and networks have no seed: figures vary from run to run, verdicts
should not.
"""


def kept(
    results: Mapping[str, Any], certificates: Sequence[Mapping[str, Any]], run: Mapping[str, Any]
) -> dict[str, Any]:
    """What the record keeps of one run: `results` as in results.json, `certificates` as `verify`
    tells them, `run` as in run.json."""
    found: dict[str, Any] = {}
    for check in results["checks"]:
        for anomaly in check["anomalies"]:
            found.setdefault(
                anomaly["name"], {"count": anomaly["count"], "argument": anomaly["argument"]}
            )
    availability = results["availability"]
    return {
        "date": run["started_utc"][:10],
        "verdict": results["verdict"],
        "why": [check["why"] for check in results["checks"]],
        "anomalies": found,
        "counts": results["counts"],
        "faults": {k: results["faults"].get(k, 0) for k in ("injected", "confirmed", "healed")},
        "availability": {
            key: availability.get(key) for key in ("by_requests", "longest_outage_s", "recover_s")
        },
        "certificates": [
            {key: one[key] for key in ("property", "claims", "accepted", "why")}
            for one in certificates
        ],
        "versions": run["versions"],
        "images": {name: image.partition(":")[2][:12] for name, image in run["images"].items()},
        "error": "",
    }


def differences(pair: Pair, runs: Runs, seeds: Sequence[int]) -> list[str]:
    """Where what was found is not what the pair claims; empty: it holds, as far as it was run."""
    told = []
    for side in ("weak", "strong"):
        for seed in seeds:
            run = _run(runs, getattr(pair, side), seed)
            if run is not None and (wrong := _difference(pair, side, run)):
                told.append(f"{side}, seed {seed}: {wrong}")
    return told


def _difference(pair: Pair, side: str, run: Kept) -> str:
    if run["error"]:
        return f"the run did not end as planned: {run['error']}"
    refused = [one for one in run["certificates"] if not one["accepted"]]
    if refused:
        return f"a certificate was refused: {refused[0]['property']}, {refused[0]['why']}"
    if not run["certificates"]:
        return "no certificate was written"
    if side == "strong":
        return "" if run["verdict"] == "valid" else f"expected valid, got {found(run)}"
    shown = run["verdict"] == "invalid" and set(pair.anomalies) & set(run["anomalies"])
    return "" if shown else f"expected {' or '.join(pair.anomalies)}, got {found(run)}"


def standing(pair: Pair, runs: Runs, seeds: Sequence[int]) -> str:
    """holds | differs | not run: differs as soon as one run does."""
    if differences(pair, runs, seeds):
        return DIFFERS
    names = (pair.weak, pair.strong)
    whole = all(_run(runs, name, seed) for name in names for seed in seeds)
    return HOLDS if whole else OPEN


def shown_on(pair: Pair, side: str, runs: Runs, seeds: Sequence[int]) -> str:
    """`2 of 3`: on how many of the seeds that were run this side came out as claimed."""
    there = [run for seed in seeds if (run := _run(runs, getattr(pair, side), seed))]
    good = sum(not _difference(pair, side, run) for run in there)
    return f"{good} of {len(there)}" if there else "–"


def found(run: Kept) -> str:
    """`invalid: lost-write × 1,408`, or what went wrong."""
    if run["error"]:
        return "error"
    names = ", ".join(f"{name} × {one['count']:,}" for name, one in run["anomalies"].items())
    return f"{run['verdict']}: {names}" if names else str(run["verdict"])


def page(record: TrackRecord, runs: Runs) -> str:
    """docs/track-record.md."""
    return "\n".join(_page(record, runs)) + "\n"


def _page(record: TrackRecord, runs: Runs) -> Iterator[str]:
    yield INTRO
    yield "| pair | system | weak: shown on | strong: held on | the claim |"
    yield "|---|---|---|---|---|"
    for pair in record.pairs:
        sides = (shown_on(pair, side, runs, record.seeds) for side in ("weak", "strong"))
        state = standing(pair, runs, record.seeds)
        yield (
            f"| [{pair.name}](#{pair.name}) | {pair.system} | {' | '.join(sides)} "
            f"| {state if state == HOLDS else f'**{state}**'} |"
        )
    for pair in record.pairs:
        yield from _section(pair, runs, record.seeds)


def _section(pair: Pair, runs: Runs, seeds: Sequence[int]) -> Iterator[str]:
    yield f"\n## {pair.name}\n\n{pair.claim}\n"
    if wrong := differences(pair, runs, seeds):
        yield "**It came out otherwise:**\n"
        yield from (f"- {_flat(line)}" for line in wrong)
        yield ""
    there = [(seed, run) for seed in seeds if (run := _run(runs, pair.weak, seed))]
    if not any(_run(runs, name, seed) for name in (pair.weak, pair.strong) for seed in seeds):
        yield f"Not run yet: `{pair.weak}`, and `{pair.strong}`, with seeds {_listed(seeds)}."
        return
    yield "| | command | found | operations | available | faults | certificate |"
    yield "|---|---|---|---|---|---|---|"
    for side in ("weak", "strong"):
        for seed in seeds:
            name = getattr(pair, side)
            cells = _cells(_run(runs, name, seed))
            yield f"| {side} | `aftershock run {name} --seed {seed}` | {' | '.join(cells)} |"
    for name in pair.anomalies:
        for seed, run in there:
            if name in run.get("anomalies", {}):
                yield f"\n*{name}*, seed {seed}: {_flat(run['anomalies'][name]['argument'])}"
                break
    if words := _versions(pair, runs, seeds):
        yield f"\n{words}"


def _cells(run: Kept | None) -> list[str]:
    """found, operations, available, faults, certificate."""
    if run is None:
        return ["not run", "", "", "", ""]
    if run["error"]:
        return [f"**error**: {_flat(run['error'])}", "", "", "", ""]
    counts, faults, up = run["counts"], run["faults"], run["availability"]
    share, outage = up["by_requests"], up["longest_outage_s"]
    told = found(run).removeprefix(run["verdict"])
    if run["verdict"] != "invalid":
        told = f": {'; '.join(map(_flat, run['why']))}"
    return [
        f"**{run['verdict']}**{told}",
        f"{counts['ok']:,} ok, {counts['fail']:,} fail, {counts['info']:,} info",
        ("unknown" if share is None else f"{share:.1%}")
        + (f", longest outage {outage:.1f} s" if outage else ""),
        f"{faults['confirmed']} of {faults['injected']} confirmed"
        if faults["injected"]
        else "none",
        ", ".join(
            f"{one['property']}: {'accepted' if one['accepted'] else '**refused**'}"
            for one in run["certificates"]
        )
        or "none",
    ]


def _versions(pair: Pair, runs: Runs, seeds: Sequence[int]) -> str:
    """When, with what: of all runs of the pair, each thing said once."""
    names = (pair.weak, pair.strong)
    there = [run for name in names for seed in seeds if (run := _run(runs, name, seed))]
    dates = sorted({run["date"] for run in there if run["date"]})
    versions = {f"{k} {v}" for run in there for k, v in run.get("versions", {}).items()}
    images = {f"{k} {v}" for run in there for k, v in run.get("images", {}).items()}
    parts = [
        " to ".join(dict.fromkeys((dates[0], dates[-1]))) if dates else "",
        ", ".join(sorted(versions)),
        f"images {', '.join(sorted(images))}" if images else "",
    ]
    return "; ".join(part for part in parts if part) + "." if there else ""


def _run(runs: Runs, experiment: str, seed: int) -> Kept | None:
    return runs.get(experiment, {}).get(str(seed))


def _listed(seeds: Sequence[int]) -> str:
    return ", ".join(map(str, seeds))


def _flat(text: str) -> str:
    """Text in one line of Markdown, in a table or not."""
    return " ".join(str(text).split()).replace("|", "\\|")
