"""The process that outlives a controller which is killed, and heals what it leaves.

Cuts, pauses and clocks end by themselves when the controller dies, for the agents and the kernel
see to that. Toxics, limits and stopped databases do not: for them a watchdog waits at the end of a
pipe whose other end only the controller has. The controller says goodbye when its run has ended,
however it ended; end-of-file without that means it was killed, and the run is healed from its
journal as `aftershock heal` would. It is in a session of its own, so that killing the controller's
process group or terminal does not end it too.

It imports no library, and next to nothing of ours, before it is needed: some 10 MB, no CPU time.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from chaos.errors import AftershockError

GOODBYE = b"goodbye\n"
LOG = "watchdog.log"  # in the run directory's logs/; made only when there is something to say
BY = "watchdog"
DYING_S = 3.0  # a killed controller is gone by then; a lease, too
ACT_S = 120  # whatever happens, it ends
LEAVE_S = 2.0
_ROOT = Path(__file__).resolve().parents[2]


@contextlib.contextmanager
def watching(run: Path) -> Iterator[None]:
    """A watchdog for the run directory `run`, from here until the block is left."""
    paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    try:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "chaos.healing.watchdog", str(run.resolve())],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            start_new_session=True,
        )
    except OSError as error:
        raise AftershockError(
            f"the run's watchdog could not be started: {error.strerror}",
            fix="without it, killing the controller would leave stopped databases behind",
        ) from None
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # it may have been killed, and then nobody is told
            process.communicate(GOODBYE, timeout=LEAVE_S)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(LEAVE_S)
        if process.poll() is None:
            process.kill()
            process.wait()


def main() -> None:
    """`python -m chaos.healing.watchdog RUN`: wait for the end of input, then act or go."""
    run = Path(sys.argv[1])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # meant for the controller, which will say goodbye
    if not _wait():
        return
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.alarm(ACT_S)
    log = _Log(run)
    try:
        _act(run, log)
    except Exception as error:
        log.say(f"failed: {type(error).__name__}: {error}")
        raise SystemExit(1) from None


def _wait() -> bool:
    """Until the end of input; whether there was no goodbye."""
    heard = b""
    while data := os.read(0, 4096):
        heard = (heard + data)[-64:]
    return not heard.endswith(GOODBYE)


class _Log:
    """Lines with a time, in the run directory; nothing when that is gone."""

    def __init__(self, run: Path) -> None:
        self._path = run / "logs" / LOG

    def say(self, text: str) -> None:
        """Append one line."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        with contextlib.suppress(OSError), self._path.open("a", encoding="utf-8") as file:
            file.write(f"{stamp} [{os.getpid()}] {text}\n")


def _act(run: Path, log: _Log) -> None:
    """Heal what is open. Nothing is done, and nothing said, when nothing is."""
    from chaos.record import rundir
    from chaos.record.journal import open_faults
    from chaos.record.liveness import alive

    meta = rundir.read_run_json(run)
    if not open_faults(run / rundir.JOURNAL):
        return
    log.say("the controller died with faults open; healing them from the journal")
    end = time.monotonic() + DYING_S
    while alive(meta["controller"]) and time.monotonic() < end:
        time.sleep(0.02)  # its pipe closes a moment before it is gone

    from chaos.healing.heal import heal_run
    from chaos.runtime import engine

    client = engine.client(engine.require())  # found as the controller found it
    report = heal_run(run, client, BY, log.say)
    for fault in report.faults:
        why = f": {fault.why}" if fault.why else ""
        log.say(f"{fault.id} ({fault.fault}) {fault.outcome}{why}")
    log.say(f"done in {report.seconds:g} s")


if __name__ == "__main__":
    main()
