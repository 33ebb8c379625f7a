# SPDX-License-Identifier: Apache-2.0
"""Aggregates of an XTCE file: a parameter of several members is as many parameters, one behind the other."""

from __future__ import annotations

from collections.abc import Iterator

from lake.xtce.elements import DEEPEST, Element
from lake.xtce.spaces import Space

AGGREGATE = "AggregateParameterType"
MOST_MEMBERS = 20_000


def add_members(space: Space) -> None:
    """Add the members of each parameter of an aggregate type as parameters, `p/m` and `p.m`, of the same system.

    Raises DefinitionError if a type is unknown, contains itself, or gives too many members.
    """
    count = 0
    for system in space.all:
        for name, parameter in list(system.parameters.items()):
            for path, member in _members(system, parameter, ()):
                count += 1
                if count > MOST_MEMBERS:
                    raise parameter.error(f"the file has more than {MOST_MEMBERS} members. Give fewer.")
                for separator in ("/", "."):
                    system.parameters[separator.join((name, *path))] = member


def _members(
    system: Space, parameter: Element, around: tuple[Element, ...]
) -> Iterator[tuple[tuple[str, ...], Element]]:
    """The members of a parameter and those in them, each as a parameter, with the names that lead to it."""
    home, kind = system.find("types", parameter, "parameterTypeRef")
    if kind.name != AGGREGATE:
        return
    if kind in around or len(around) > DEEPEST:
        raise kind.error("contains itself, or stands in too many. Correct a typeRef.")
    listed = list(kind.needed("MemberList").all("Member"))
    members = system.members[parameter] = [_member(home, parameter, member) for member in listed]
    for member, made in zip(listed, members, strict=True):
        yield (member.needed_text("name"),), made
        for path, below in _members(system, made, (*around, kind)):
            yield (member.needed_text("name"), *path), below


def _member(home: Space, parameter: Element, member: Element) -> Element:
    """A member as a parameter of its own."""
    type_home, kind = home.find("types", member, "typeRef")
    made = {
        "name": f"{parameter.needed_text('name')}_{member.needed_text('name')}",
        "parameterTypeRef": f"{type_home.address}/{kind.needed_text('name')}",
        "shortDescription": member.attributes.get("shortDescription", ""),
    }
    return Element("Parameter", member.path, member.line, made, member.children)
