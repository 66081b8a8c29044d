"""Sockets to listen at: bound before anything else, so that a taken port is known at once."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence

from tratree_cli.errors import InputError

BACKLOG = 2048
KEEPALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}
"""A client whose machine vanished is noticed within a minute, by the system and not by pings:
a trainer that computes for minutes answers no ping and is still there."""


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach ``host``."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def listen(host: str, port: int, count: int) -> Sequence[socket.socket]:
    """``count`` sockets at one address, among which the system distributes connections.

    ``port`` 0 takes a free one. Raises ``InputError`` where the address cannot be had.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        if count == 1:
            return [_bound(socket.socket(family, kind, protocol), address)]
        # Sockets that share a port also share it with any other process of the same user that asks
        # for that; a first socket that does not share detects it.
        with _bound(socket.socket(family, kind, protocol), address) as first:
            address = first.getsockname()
        sockets = []
        for _ in range(count):
            listener = socket.socket(family, kind, protocol)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sockets.append(_bound(listener, address))
        return sockets
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"cannot listen at {host} port {port}: {reason}; choose another --host or --port"
        ) from error


def url(listening: socket.socket, host: str) -> str:
    """The address that clients use."""
    port = listening.getsockname()[1]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _bound(listener: socket.socket, address: object) -> socket.socket:
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEPALIVE.items():
        if hasattr(socket, name):
            listener.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    listener.bind(address)  # type: ignore[arg-type]
    listener.listen(BACKLOG)
    listener.setblocking(False)
    return listener
