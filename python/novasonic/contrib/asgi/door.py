"""Who comes to the door of this process, and how often, without I/O: times are arguments, in seconds.

A handshake costs a socket, a session look-up and a task before anybody has signed in; hence the count by address. It is
each process's own: a site with four workers admits up to four times as many. A proxy that counts for all is better, and
no reason to go without this.
"""

from __future__ import annotations

from collections import OrderedDict
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING, Any, Final

from .guard import Bucket

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["Doorkeeper", "client_address", "counted_as", "scope_address"]

UNKNOWN: Final = "unknown"
_HOST_BITS: Final = 64


class Doorkeeper:
    """Counts handshakes, and sockets that are not signed in yet, by client address.

    Args:
        strangers: How many sockets of one address may wait at once for a ticket, or for their refusal.
        addresses: How many addresses are remembered; beyond them the one is forgotten that was quiet longest.
    """

    def __init__(self, strangers: int = 10, addresses: int = 10_000) -> None:
        self.refused = 0
        self._strangers = strangers
        self._addresses = addresses
        self._handshakes: OrderedDict[str, Bucket] = OrderedDict()
        self._outside: dict[str, int] = {}

    def knock(self, address: str, now: float, per_minute: int) -> bool:
        """Count a handshake; False: refuse it without accepting the socket.

        Refused knocks do not count: whoever slows down gets in again.
        """
        bucket = self._handshakes.pop(address, None) or Bucket(0.0)
        bucket.rate = per_minute / 60  # the setting may have changed since
        self._handshakes[address] = bucket
        if len(self._handshakes) > self._addresses:
            self._handshakes.popitem(last=False)
        return self._count(bucket.pour(1, now, per_minute))

    def wait_outside(self, address: str) -> bool:
        """Let one more socket of nobody known be accepted; False: refuse it without. `settle` ends the wait."""
        waiting = self._outside.get(address, 0)
        # What is counted here is open sockets, which may not be forgotten: a full book takes no new names.
        free = waiting < self._strangers and (waiting > 0 or len(self._outside) < self._addresses)
        if free:
            self._outside[address] = waiting + 1
        return self._count(free)

    def settle(self, address: str) -> None:
        """End the wait of one socket that `wait_outside` let in: it is signed in, refused or gone. Call it once."""
        waiting = self._outside.get(address, 0) - 1
        if waiting > 0:
            self._outside[address] = waiting
        else:
            self._outside.pop(address, None)

    def _count(self, allowed: bool) -> bool:
        self.refused += not allowed
        return allowed


def scope_address(scope: Mapping[str, Any], trusted_proxies: int) -> str:
    """Return the address that an ASGI connection is counted by."""
    client = scope.get("client")
    forwarded = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
    return counted_as(client_address(client[0] if client else None, forwarded, trusted_proxies))


def client_address(peer: str | None, forwarded: Iterable[str], trusted_proxies: int) -> str:
    """Return the address that the outermost trusted proxy saw.

    Each proxy adds whom it heard to the end of ``X-Forwarded-For``; what stands further left is what the client wrote
    and proves nothing.

    Args:
        peer: Who is at the other end of the socket; None for a Unix socket.
        forwarded: The values of ``X-Forwarded-For``, in order.
        trusted_proxies: How many proxies stand before the server, the one at the socket included.
    """
    if trusted_proxies <= 0:
        return peer or UNKNOWN
    seen = [entry for value in forwarded for entry in value.split(",")][-trusted_proxies:]
    return seen[0].strip() if seen else peer or UNKNOWN


def counted_as(address: str) -> str:
    """Return the name under which `address` is counted: an IPv4 address, the /64 of an IPv6 address, or "unknown".

    A home or a rented server has a /64 of its own, with more addresses than anybody could count one by one.
    """
    parsed = _parse(address)
    if parsed is None:
        return UNKNOWN
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return f"{IPv6Address(int(parsed) >> _HOST_BITS << _HOST_BITS)}/{128 - _HOST_BITS}"
    return str(parsed)


def _parse(address: str) -> IPv4Address | IPv6Address | None:
    # Some proxies write ports: 192.0.2.1:4711 and [2001:db8::1]:4711.
    if address.startswith("["):
        address = address[1:].partition("]")[0]
    elif address.count(":") == 1:
        address = address.partition(":")[0]
    try:
        return ip_address(address)
    except ValueError:
        return None
