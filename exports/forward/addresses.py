# SPDX-License-Identifier: Apache-2.0
"""Connections to servers of others, none of which may lead into a private network unless that is allowed.

The address that is judged is the one that is connected to: a name is resolved once, here.
"""

from __future__ import annotations

import ipaddress
import socket

from lake.errors import WayError

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052, section 2.1: the last 32 bits are an address of IPv4


def connected(who: str, host: str, port: int, allow_private: bool, seconds: float) -> socket.socket:
    """A connection to the first address of a host that answers.

    Raises WayError if a host has none but private ones, OSError if it cannot be reached.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    open_ones = [one for one in found if allow_private or is_public(str(one[4][0]))]
    if not open_ones:
        raise WayError(
            f"{who}: {host} leads to {found[0][4][0]}, which is no public address. "
            "Correct `url`, or write allow_private = true if that is meant."
        )
    for number, (family, kind, protocol, _, address) in enumerate(open_ones, 1):
        line = socket.socket(family, kind, protocol)
        try:
            line.settimeout(seconds)
            line.connect(address)
        except OSError:
            line.close()
            if number == len(open_ones):
                raise
        else:
            return line
    raise AssertionError("a host that resolves has an address")


def is_public(text: str) -> bool:
    """Whether an address is one of the internet's, also where it carries another one within."""
    address = _inner(ipaddress.ip_address(text.partition("%")[0]))
    return address.is_global and not address.is_multicast


def _inner(address: IPAddress) -> IPAddress:
    """The address of IPv4 that one of IPv6 stands for; else the same."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address
