"""Running the command as a user would, and looking at what it leaves."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from chaos.errors import AftershockError
from chaos.paths import experiments, names
from chaos.record.reader import RunData, open_run
from chaos.registry import FAULTS
from chaos.runtime import docker as engine_api
from chaos.spec.experiment import Experiment
from chaos.spec.files import load_experiment

HERE = Path(__file__).parent
AFTERSHOCK = str(Path(sys.executable).parent / "aftershock")


@dataclass(frozen=True)
class Ran:
    """One finished `aftershock run`."""

    code: int
    path: Path
    results: dict[str, Any]
    run: RunData
    stderr: str

    @property
    def anomalies(self) -> dict[str, int]:
        """Their names and counts, over all properties."""
        found = [a for check in self.results["checks"] for a in check["anomalies"]]
        return {anomaly["name"]: anomaly["count"] for anomaly in found}

    @property
    def verdicts(self) -> dict[str, str]:
        """Property to verdict."""
        return {check["property"]: check["verdict"] for check in self.results["checks"]}


class Command:
    """`aftershock run … --json`, in its own process group as in a terminal."""

    program = AFTERSHOCK

    @staticmethod
    def start(out: Path, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """Start a run."""
        return subprocess.Popen(
            [AFTERSHOCK, "run", *arguments, "--json", "--out", str(out)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            **options,
        )

    @staticmethod
    def finish(process: subprocess.Popen[str], within_s: float = 240) -> Ran:
        """Wait for it; what it said and what it left."""
        stdout, stderr = process.communicate(timeout=within_s)
        assert stdout.strip(), f"exit code {process.returncode}\n{stderr}"
        results = json.loads(stdout)
        path = Path(results["path"])
        return Ran(process.returncode, path, results, open_run(path), stderr)

    @staticmethod
    def say(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Any other command, to its end."""
        return subprocess.run(
            [AFTERSHOCK, *arguments], capture_output=True, text=True, timeout=120, **options
        )


# Runs at once, and one more when no test has a database beside them; one that leaves little of the
# machine to others counts twice.
CAPACITY = 3
BUSY = ("cassandra", "kafka", "rabbitmq")  # with virtual machines that take long to start
NOT_HERE = ("every-fault",)  # longer ones: tests/real/test_faults.py has all faults
# Pairs that only the track record runs (tests/cli/test_track_record.py: each is in it), because all
# together would take a quarter of an hour.
ONLY_IN_THE_RECORD = frozenset(
    {
        "cache-aside-partition",
        "cache-bypassed-partition",
        "cassandra-global-quorum",
        "cassandra-local-quorum",
        "cassandra-one-stale",
        "cassandra-power-loss",
        "cassandra-power-loss-synced",
        "cassandra-quorum",
        "cassandra-repaired",
        "cassandra-unrepaired",
        "compose-cache-cut",
        "compose-cache-cut-timeout",
        "etcd-linearizable-reads",
        "etcd-lock-fenced",
        "etcd-lock-unfenced",
        "etcd-serializable-reads",
        "galera-lost-update",
        "galera-lost-update-locking",
        "galera-power-loss",
        "galera-power-loss-synced",
        "galera-stale-reads",
        "galera-sync-wait",
        "kafka-group-commit-after",
        "kafka-group-commit-before",
        "kafka-min-insync",
        "kafka-power-loss",
        "kafka-power-loss-flushed",
        "kafka-transactions-committed",
        "kafka-transactions-uncommitted",
        "kafka-unclean-election",
        "localfirst-back-dated",
        "localfirst-back-dated-arbiter",
        "localfirst-revoked-offline-causal",
        "mariadb-failover-async",
        "mariadb-failover-semi-sync",
        "mariadb-failover-semi-sync-timeout",
        "mariadb-power-loss-relaxed",
        "mariadb-power-loss-synced",
        "nats-power-loss",
        "nats-power-loss-synced",
        "nats-queue-one-replica",
        "nats-queue-three",
        "nats-reads-direct",
        "nats-reads-leader",
        "nats-wipe-one-replica",
        "nats-wipe-three",
        "objectstore-first-site",
        "objectstore-lock-fenced",
        "objectstore-lock-unfenced",
        "objectstore-second-site",
        "patroni-region-cut",
        "patroni-region-cut-nofailover",
        "patroni-region-cut-synchronous",
        "postgres-bank-read-committed",
        "postgres-bank-repeatable-read",
        "postgres-reads-primary",
        "postgres-reads-standby",
        "postgres-write-skew",
        "postgres-write-skew-serializable",
        "rabbitmq-autoheal",
        "rabbitmq-autoheal-quorum",
        "rabbitmq-consumers-classic",
        "rabbitmq-consumers-quorum",
        "rabbitmq-power-loss",
        "rabbitmq-power-loss-quorum",
        "rabbitmq-transient",
        "rabbitmq-transient-quorum",
        "redis-cluster-split",
        "redis-cluster-split-wait",
        "redis-replication-failover",
        "redis-replication-failover-wait",
        "redis-split-brain-wait",
        "valkey-split-brain",
        "valkey-split-brain-wait",
        "zookeeper-observers-stale",
        "zookeeper-observers-synced",
        "zookeeper-power-loss",
        "zookeeper-power-loss-unsynced",
        "zookeeper-stale-reads",
        "zookeeper-synced-reads",
    }
)


def shipped_experiments() -> dict[str, Experiment]:
    """The experiments that ship, say what they expect and are run here, by name."""
    wanted = [name for name in names(experiments()) if name not in ONLY_IN_THE_RECORD]
    found = {n: load_experiment(n).experiment for n in wanted if not n.startswith(NOT_HERE)}
    return {name: one for name, one in found.items() if one.expect}


def weight(experiment: Experiment) -> int:
    """How many of CAPACITY it takes: two where clients go as fast as they can, and of BUSY ones."""
    return 2 if not experiment.workload.rate or experiment.topology.startswith(BUSY) else 1


class Shipped(Mapping[str, Ran]):
    """What has run, by name. Who looks at one that left no results fails; the others do not."""

    def __init__(self, jobs: Mapping[str, Future[Ran]]) -> None:
        self._jobs = jobs

    def __getitem__(self, name: str) -> Ran:
        return self._jobs[name].result()

    def __iter__(self) -> Iterator[str]:
        return iter(self._jobs)

    def __len__(self) -> int:
        return len(self._jobs)


class Together:
    """Runs all of them, several at once, the longest first: so that works, too."""

    def __init__(self, out: Path, wanted: Mapping[str, Experiment]) -> None:
        self._out, self._lock, self._left = out, threading.Condition(), CAPACITY
        self._stopped, self._running = False, set[subprocess.Popen[str]]()
        order = sorted(wanted, key=lambda name: -wanted[name].duration_ns)
        self._pool = ThreadPoolExecutor(len(order))
        self._jobs = {n: self._pool.submit(self._one, n, weight(wanted[n])) for n in order}

    def results(self) -> Mapping[str, Ran]:
        """Of all of them, by name, when they have ended; whoever waits has no database."""
        self._give(1)
        wait(self._jobs.values())
        return Shipped(self._jobs)

    def stop(self) -> None:
        """Start no other, and end those that run, which heal what they broke."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                process.terminate()
            self._lock.notify_all()
        self._pool.shutdown()

    def _one(self, name: str, taken: int) -> Ran:
        with self._lock:
            self._lock.wait_for(lambda: self._stopped or self._left >= taken)
            assert not self._stopped, "the tests ended before its turn"
            self._left -= taken
            process = Command.start(self._out, name)
            self._running.add(process)
        try:
            return Command.finish(process)
        finally:
            process.kill()
            self._running.discard(process)
            self._give(taken)

    def _give(self, taken: int) -> None:
        with self._lock:
            self._left += taken
            self._lock.notify_all()


@pytest.fixture(scope="session")
def ran(beside: Together | None) -> Mapping[str, Ran]:
    """Every shipped experiment, run once."""
    assert beside is not None
    return beside.results()


@pytest.fixture(scope="session")
def command() -> type[Command]:
    """The command line."""
    return Command


class Schedules:
    """Experiments over tests/real/two.yaml, made of the entries of tests/real/faults.yaml."""

    topology = HERE / "two.yaml"

    def __init__(self, folder: Path) -> None:
        data = yaml.safe_load((HERE / "faults.yaml").read_text(encoding="utf-8"))
        self.instant = set(data["instant"])
        known = set(FAULTS.names())
        self.entries: dict[str, list[str]] = {}
        for fault, choices in {**data["lasting"], **data["instant"]}.items():
            good = [words for words in choices if self._accepted(folder, fault, words)]
            if good and fault in known:
                self.entries[fault] = good
        self.missing = sorted(known - set(self.entries))

    def entry(self, fault: str, words: str, at_ms: int, for_ms: int) -> str:
        """One line of a schedule."""
        lasting = "" if fault in self.instant else f", for: {for_ms}ms"
        return f"  - {{at: {at_ms}ms{lasting}, fault: {fault}{', ' if words else ''}{words}}}\n"

    def write(self, path: Path, lines: Sequence[str], duration_s: int = 60) -> Path:
        """An experiment with these lines of schedule."""
        path.write_text(
            f"name: {path.stem}\ntopology: {self.topology}\nduration: {duration_s}s\nsettle: 1s\n"
            f"workload: {{name: set, rate: 20/s}}\nschedule:\n{''.join(lines)}",
            encoding="utf-8",
        )
        return path

    def _accepted(self, folder: Path, fault: str, words: str) -> bool:
        path = self.write(folder / "try.yaml", [self.entry(fault, words, 300, 3000)])
        try:
            load_experiment(str(path))
        except AftershockError:
            return False
        return True


@pytest.fixture(scope="session")
def schedules(tmp_path_factory: pytest.TempPathFactory) -> Schedules:
    """What can be scheduled here."""
    return Schedules(tmp_path_factory.mktemp("schedules"))


@pytest.fixture
def nothing_left(engine_client: Any) -> Callable[[], None]:
    """Call it to assert that no container, network or volume of an ended controller is left."""

    def check() -> None:
        assert engine_api.leftovers(engine_client) == {}

    return check
