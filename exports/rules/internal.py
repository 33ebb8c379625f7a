# SPDX-License-Identifier: Apache-2.0
"""How the records of a CDF file lead to each other, which readers keep to themselves: NASA's library calls a file
corrupted where another reader finds all of its values.

Layouts are those of the CDF Internal Format Description, version 3.9.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from exports.cdf.checksum import MD5_BYTES
from exports.cdf.descriptors import MAGIC_3, PLAIN, AttributeRecord, Directory, Records, VariableRecord

HAS_CHECKSUM = 4  # a flag of the header


def fan_outs(path: Path) -> dict[str, int]:
    """The most entries that an index record of each variable has; nothing for files compressed as a whole or before
    version 3.

    Raises OSError, ValueError or struct.error if the records lead nowhere.
    """
    with _records(path) as records:
        if records is None:
            return {}
        found = list(records.variables(records.directory(records.header().gdr)))
        return {
            v.name.rstrip(b"\0 ").decode("latin-1"): max((n for n, _ in records.index_records(v.index_head)), default=0)
            for v in found
        }


def miscounts(path: Path) -> list[str]:
    """What the file says of its own size and of its numbers of records, where it is wrong. Raises as fan_outs()."""
    with _records(path) as records:
        return [] if records is None else list(_miscounts(records))


def _miscounts(records: Records) -> Iterator[str]:
    header = records.header()
    directory = records.directory(header.gdr)
    end = records.size - (MD5_BYTES if header.flags & HAS_CHECKSUM else 0)
    if directory.end != end:
        yield f"says that it ends at byte {directory.end}, and its last record ends at {end}"
    if directory.r_count < 0 or directory.z_count < 0 or directory.attribute_count < 0:
        yield "has less than no variables or attributes"
    variables = list(records.variables(directory))
    last = max((variable.max_record for variable in variables if variable.is_r), default=-1)
    if directory.r_max_record < last:
        yield f"says that {directory.r_max_record} is the last record of its rVariables, which is {last}"
    yield from _longer(records, directory)


def _longer(records: Records, directory: Directory) -> Iterator[str]:
    """Chains that go on behind the number of records that they should have."""
    variables, attributes = list(records.variables(directory)), list(records.attributes(directory))
    kinds: dict[str, tuple[Sequence[VariableRecord | AttributeRecord], int]] = {
        "zVariables": ([v for v in variables if not v.is_r], directory.z_head),
        "rVariables": ([v for v in variables if v.is_r], directory.r_head),
        "attributes": (attributes, directory.attribute_head),
    }
    for what, (chain, head) in kinds.items():
        if chain[-1].next if chain else head:
            yield f"has more {what} than the {len(chain)} that it counts"
    for attribute in attributes:
        for head, count in ((attribute.gr_head, attribute.gr_count), (attribute.z_head, attribute.z_count)):
            entries = list(records.entries(head, count))
            if entries[-1].next if entries else head:
                name = attribute.name.rstrip(b"\0 ").decode("latin-1")
                yield f"has more entries of {name} than the {len(entries)} that it counts"


@contextmanager
def _records(path: Path) -> Iterator[Records | None]:
    """The records of a file of version 3 that is not compressed as a whole; None for others."""
    with path.open("rb") as stream:
        is_plain = stream.read(len(MAGIC_3 + PLAIN)) == MAGIC_3 + PLAIN
        yield Records(stream, path.stat().st_size, wide=True) if is_plain else None
