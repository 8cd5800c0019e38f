"""What can go wrong, as a tree, and how it is said.

AftershockError                 anything a user may see; never a traceback
├─ UsageError                   the command line asks for something there is not
├─ SpecError                    a YAML file is wrong: where, expected, got, nearest word
├─ EngineError                  no container engine, or it stopped answering
│   └─ ImageError               an image could not be had; carries the last lines of the build
├─ ClusterError                 a node did not become ready; carries its last log lines
├─ FaultError                   a fault could not be injected or healed
├─ RecordError                  a run directory or a history is missing, truncated or hostile
│   └─ HistoryError             a history file of another tool: file:line, expected, got
└─ Interrupted                  Ctrl-C: healed, kept what there is
"""

from __future__ import annotations

EXIT_VALID = 0
EXIT_INVALID = 1
EXIT_USAGE = 2
EXIT_UNKNOWN = 3
EXIT_INTERNAL = 70
EXIT_INTERRUPTED = 130


class AftershockError(Exception):
    """An error a user can act on.

    `what` is one sentence: what was expected and what came instead. `fix` says what to do.
    `detail` holds lines worth showing below it (a source line with a caret, a log's end).
    """

    exit_code = EXIT_INTERNAL

    def __init__(self, what: str, *, fix: str = "", detail: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.fix = fix
        self.detail = detail

    def __str__(self) -> str:
        parts = [self.what]
        if self.detail:
            parts.append(self.detail)
        if self.fix:
            parts.append(f"→ {self.fix}")
        return "\n".join(parts)


class UsageError(AftershockError):
    """The command line asks for something that is not there or cannot be meant."""

    exit_code = EXIT_USAGE


class SpecError(AftershockError):
    """A topology, experiment or story file says something that cannot be meant."""

    exit_code = EXIT_USAGE


class EngineError(AftershockError):
    """No container engine answers, or it stopped answering."""


class ImageError(EngineError):
    """An image could neither be pulled nor built."""


class ClusterError(AftershockError):
    """The databases did not come up, or did not form a cluster."""


class FaultError(AftershockError):
    """A fault could not be injected, probed or healed."""


class RecordError(AftershockError):
    """A run directory or history cannot be read as one."""

    exit_code = EXIT_USAGE


class HistoryError(RecordError):
    """A history file of another tool is not what its format says; `what` begins with file:line."""


class Interrupted(AftershockError):
    """The user pressed Ctrl-C; faults were healed and the run was kept."""

    exit_code = EXIT_INTERRUPTED
