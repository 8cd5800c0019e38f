"""The firewall's bookkeeping: overlapping cuts, and the commands for the kernel."""

from __future__ import annotations

from chaos.agent.cuts import Cuts, elements, ending, renewing

WAY, OTHER = ("198.18.0.10", "198.18.0.11"), ("198.18.0.12", "198.18.0.11")


def test_ports_are_cut_for_tcp_and_udp() -> None:
    assert elements([WAY]) == {WAY}
    assert elements([WAY], [53]) == {(*WAY, "tcp", "53"), (*WAY, "udp", "53")}


def test_what_two_faults_drop_stays_dropped_until_both_have_ended() -> None:
    cuts = Cuts()
    cuts.put("f1", elements([WAY, OTHER]))
    cuts.put("f2", elements([WAY]))
    first = cuts.take("f1")
    assert first.elements - cuts.dropped() == {OTHER}
    assert cuts.shared(first) == [WAY]
    assert cuts.take("f2").elements - cuts.dropped() == {WAY}
    assert cuts.take("f2").elements == frozenset()


def test_a_cut_of_everything_holds_the_ports_too() -> None:
    cuts = Cuts()
    cuts.put("all", elements([WAY]))
    one = cuts.put("port", elements([WAY], [80]))
    assert cuts.shared(one) == sorted(elements([WAY], [80]))
    cuts.take("all")
    assert cuts.shared(one) == []


def test_a_cut_that_flaps_drops_nothing_while_it_is_up_but_may_at_any_moment() -> None:
    cuts = Cuts()
    flapping = cuts.put("f1", elements([WAY]))
    flapping.active = False
    assert cuts.dropped() == frozenset()
    assert cuts.shared(cuts.put("f2", elements([WAY]))) == [WAY]
    assert cuts.there(flapping)
    cuts.put("f1", elements([WAY]))
    assert not cuts.there(flapping)


def test_a_lease_begins_anew_by_delete_and_add_in_one_transaction() -> None:
    add, delete, again = renewing(elements([WAY])).splitlines()
    assert (
        add == again == ("add element inet aftershock cut { 198.18.0.10 . 198.18.0.11 timeout 3s }")
    )
    assert delete == "delete element inet aftershock cut { 198.18.0.10 . 198.18.0.11 }"
    assert ending(elements([WAY])).splitlines() == [add, delete]
    assert "cut_ports { 198.18.0.10 . 198.18.0.11 . tcp . 53 timeout" in renewing(
        elements([WAY], [53])
    )
