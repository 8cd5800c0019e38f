"""Claims of overlapping faults on one thing."""

from __future__ import annotations

import threading
import time

from hypothesis import given
from hypothesis import strategies as st

from chaos.runtime.claims import Claims

ORDERS = st.lists(
    st.tuples(st.sampled_from("ab"), st.sampled_from(["f1", "f2", "f3"]), st.none() | st.integers())
)


@given(ORDERS)
def test_each_fault_has_its_own_claim(orders: list[tuple[str, str, int | None]]) -> None:
    claims = Claims()
    model: dict[str, dict[str, int]] = {"a": {}, "b": {}}
    for thing, fault, value in orders:
        if value is None:
            model[thing].pop(fault, None)
            assert claims.drop(thing, fault) == model[thing]
        else:
            model[thing][fault] = value
            claims.put(thing, fault, value)
        for name, wanted in model.items():
            assert claims.of(name) == wanted
            assert claims.of(name, "f1") == {f: v for f, v in wanted.items() if f != "f1"}


def test_what_is_handed_out_is_a_copy() -> None:
    claims = Claims()
    claims.put("a", "f1")
    claims.of("a").clear()
    claims.drop("a", "f2").clear()
    assert claims.of("a") == {"f1": True}


def test_one_at_a_time_changes_a_thing_and_others_go_on() -> None:
    claims = Claims()
    inside: list[str] = []

    def change(name: str) -> None:
        with claims.changing("a"):
            inside.append(f"{name} in")
            time.sleep(0.02)
            inside.append(f"{name} out")

    threads = [threading.Thread(target=change, args=(name,)) for name in "xyz"]
    with claims.changing("b"):  # another thing: in nobody's way
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(5)
    assert len(inside) == 6
    assert all(
        first.split()[0] == then.split()[0]
        for first, then in zip(inside[::2], inside[1::2], strict=True)
    )
