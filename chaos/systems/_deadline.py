"""One deadline over a driver whose own time-outs hold between two bytes, or not always."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def within(seconds: float, work: Callable[[], T]) -> T:
    """The result of `work`, or what it raised; TimeoutError when it took longer.

    What is late goes on in its thread, until the driver gives up; nobody looks at it any more.
    """
    found: list[T] = []
    raised: list[BaseException] = []

    def run() -> None:
        try:
            found.append(work())
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if raised:
        raise raised[0]
    if not found:
        raise TimeoutError("the driver did not answer in time")
    return found[0]
