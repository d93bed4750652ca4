"""Who comes to the door, with the clock in hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from novasonic.contrib.asgi.door import Doorkeeper, client_address, counted_as, scope_address

HERE, THERE = "192.0.2.1", "192.0.2.2"


def test_one_address_knocks_so_often_a_minute_and_others_do_not_notice():
    door = Doorkeeper()
    assert sum(door.knock(HERE, 0.0, 60) for _ in range(100)) == 60
    assert door.knock(THERE, 0.0, 60)
    assert not door.knock(HERE, 0.9, 60)
    assert door.knock(HERE, 1.0, 60)
    assert sum(door.knock(HERE, 70.0, 60) for _ in range(100)) == 60
    assert door.refused == 40 + 1 + 40


def test_a_setting_that_changes_counts_at_once():
    door = Doorkeeper()
    assert sum(door.knock(HERE, 0.0, 60) for _ in range(60)) == 60
    assert door.knock(HERE, 0.0, 100)
    assert not door.knock(HERE, 0.0, 1)


def test_strangers_of_one_address_wait_ten_at_once():
    door = Doorkeeper()
    assert [door.wait_outside(HERE) for _ in range(11)] == [True] * 10 + [False]
    assert door.wait_outside(THERE)
    door.settle(HERE)
    assert door.wait_outside(HERE)
    assert door.refused == 1


def test_memory_is_bounded_and_those_that_knock_often_are_not_the_ones_forgotten():
    door = Doorkeeper(addresses=100)
    for _ in range(60):
        door.knock(HERE, 0.0, 60)
    for number in range(10_000):
        door.knock(f"10.0.{number // 250}.{number % 250}", 0.0, 60)
        assert not door.knock(HERE, 0.0, 60)
    assert len(door._handshakes) == 100


def test_open_sockets_are_never_forgotten():
    door = Doorkeeper(addresses=2)
    assert door.wait_outside(HERE)
    assert door.wait_outside(THERE)
    assert not door.wait_outside("192.0.2.3")
    assert door.wait_outside(HERE)
    door.settle(THERE)
    assert door.wait_outside("192.0.2.3")


@given(st.lists(st.tuples(st.sampled_from([HERE, THERE]), st.booleans()), max_size=80))
def test_the_count_of_those_outside_is_right_whatever_happens(steps):
    door, outside = Doorkeeper(strangers=3), {HERE: 0, THERE: 0}
    for address, comes in steps:
        if comes:
            allowed = door.wait_outside(address)
            assert allowed == (outside[address] < 3)
            outside[address] += allowed
        elif outside[address]:
            door.settle(address)
            outside[address] -= 1
    assert door._outside == {address: count for address, count in outside.items() if count}


PROXY = "10.0.0.1"


@pytest.mark.parametrize(
    ("forwarded", "proxies", "address"),
    [
        ([], 0, PROXY),
        (["198.51.100.7"], 0, PROXY),  # anybody may write that
        (["198.51.100.7"], 1, "198.51.100.7"),
        (["1.1.1.1, 198.51.100.7"], 1, "198.51.100.7"),
        (["1.1.1.1", "198.51.100.7"], 1, "198.51.100.7"),
        (["1.1.1.1, 198.51.100.7, 10.0.0.2"], 2, "198.51.100.7"),
        (["198.51.100.7"], 2, "198.51.100.7"),  # fewer proxies than the setting says
        ([], 1, PROXY),
    ],
)
def test_the_address_is_what_the_outermost_trusted_proxy_saw(forwarded, proxies, address):
    assert client_address(PROXY, forwarded, proxies) == address


def test_a_unix_socket_has_no_address():
    assert client_address(None, [], 0) == "unknown"
    assert client_address(None, ["198.51.100.7"], 1) == "198.51.100.7"


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1:4711", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::6", "2001:db8:1:3::/64"),
        ("[2001:db8:1:2::6]:4711", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", "unknown"),
        ("unknown", "unknown"),
        ("'; drop table", "unknown"),
    ],
)
def test_an_ipv6_network_counts_as_one(address, counted):
    assert counted_as(address) == counted


@given(st.lists(st.text(max_size=30), max_size=4), st.integers(0, 3))
def test_whatever_a_client_writes_it_has_an_address(forwarded, proxies):
    counted = counted_as(client_address(PROXY, forwarded, proxies))
    assert counted
    assert len(counted) < 50


@given(st.text(max_size=60))
def test_what_a_client_writes_itself_changes_nothing_behind_a_proxy(written):
    assert client_address(PROXY, [f"{written}, 198.51.100.7"], 1) == "198.51.100.7"


def test_a_scope_has_its_address_where_asgi_puts_it():
    headers = [(b"host", b"x"), (b"x-forwarded-for", b"1.1.1.1"), (b"x-forwarded-for", b"198.51.100.7")]
    scope = {"client": (PROXY, 4711), "headers": headers}
    assert scope_address(scope, 1) == "198.51.100.7"
    assert scope_address(scope, 0) == PROXY
    assert scope_address({"client": None, "headers": []}, 0) == "unknown"
