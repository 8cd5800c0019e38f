"""The delay line's process (topologies/images/agent/line): commands in, answers out.

Part of the agent: standard library only.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from typing import Any

PROGRAM = "aftershock-line"
ANSWER_S = 2.0
CHUNK = 200  # commands at a time, so that neither pipe can fill while the other waits


class Helper:
    """One running helper; `ended` is called when it ends before `stop`."""

    def __init__(self, loop: Any, ended: Callable[[], None]) -> None:
        self._loop = loop  # chaos.agent.agent.Loop
        self._ended = ended
        self._unread = b""
        try:
            self._process = subprocess.Popen(
                [PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
            )
        except OSError as error:
            raise RuntimeError(f"{PROGRAM}: {error}") from None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin, self._process.stdout
        self._loop.when_readable(self._out, self._look)
        self.pid = self._process.pid

    def ask(self, commands: Sequence[str]) -> list[dict[str, Any]]:
        """Each command's answer. RuntimeError when one is refused, once all are answered, or when
        the helper does not answer; it is then killed."""
        answers: list[dict[str, Any]] = []
        for k in range(0, len(commands), CHUNK):
            some = commands[k : k + CHUNK]
            try:
                self._in.write("".join(f"{command}\n" for command in some).encode())
                answers += [json.loads(self._line()) for _ in some]
            except (OSError, ValueError) as error:
                self._kill()
                raise RuntimeError(f"the delay line does not answer: {error}") from None
        for command, answer in zip(commands, answers, strict=True):
            if not answer["ok"]:
                raise RuntimeError(f"the delay line refused {command!r}: {answer['error']}")
        return answers

    def stop(self) -> None:
        """End it: it lets everything go that it holds."""
        self._loop.forget(self._out)
        self._in.close()
        self._out.close()
        self._process.returncode = 0  # buried with the pod's orphans (see agent.py)

    def _kill(self) -> None:
        """One that hangs holds every packet; when it is dead the kernel lets them pass."""
        try:
            os.kill(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # it has ended by itself

    def _line(self) -> bytes:
        end = time.monotonic() + ANSWER_S
        while b"\n" not in self._unread:
            if not select.select([self._out], [], [], max(0.0, end - time.monotonic()))[0]:
                raise OSError(f"silent for {ANSWER_S:g} s")
            more = os.read(self._out.fileno(), 65536)
            if not more:
                raise OSError("it ended")
            self._unread += more
        line, _, self._unread = self._unread.partition(b"\n")
        return line

    def _look(self) -> None:
        """It speaks only when asked: what is readable now is its end."""
        if not os.read(self._out.fileno(), 65536):
            self.stop()
            self._ended()
