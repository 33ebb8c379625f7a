# SPDX-License-Identifier: Apache-2.0
"""Packet types of an XTCE file that share an APID: which one a packet is of.

Types come in the order in which they are tried: those that inherit before those that they inherit from.
"""

from __future__ import annotations

from lake.packet_definitions import Condition, Packet
from lake.xtce.containers import Container

# Met by every packet: for a type that gets what is left by those that inherit from it.
ANY_PACKET = Condition(field="apid", operator=">=", value=0)


def tell_apart(packets: dict[str, Packet], containers: dict[str, Container]) -> tuple[Packet, ...]:
    """The packet types with what tells each from those before it; a type of which nothing is left is left out.

    Raises DefinitionError, with the line of the later container, if two types cannot be told apart.
    """
    found: list[Packet] = []
    for name, packet in packets.items():
        container = containers[name]
        before = [other for other in found if set(other.first_words) & set(packet.first_words)]
        for other in before:
            if not (other.when and packet.when) and container not in containers[other.name].lineage:
                raise container.element.error(
                    f"cannot be told from {other.name}, which has the same APID. Restrict another field in both."
                )
        words = set(packet.first_words) - {word for other in before if not other.when for word in other.first_words}
        if words:
            left = _limited(container, packet, words)
            shared = any(other.when for other in before)
            found.append(left.model_copy(update={"when": left.when or (ANY_PACKET,)}) if shared else left)
    return tuple(found)


def _limited(container: Container, packet: Packet, words: set[int]) -> Packet:
    """The packet type with only these first words."""
    if words == set(packet.first_words):
        return packet
    flags = {word >> 11 & 1 for word in words}
    flag = packet.secondary_header if len(flags) == 2 else flags.pop()
    limited = packet.model_copy(update={"apids": _apids(words), "secondary_header": flag})
    if set(limited.first_words) != words:
        raise container.element.error(
            "what others leave of it is not the same for all its APIDs. Restrict its secondary header flag too."
        )
    return limited


def _apids(words: set[int]) -> tuple[int, ...]:
    return tuple(sorted({word & 0x7FF for word in words}))
