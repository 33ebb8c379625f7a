# SPDX-License-Identifier: Apache-2.0
"""Rules about the file as a container: F01 to F11, and what we ask of one ourselves."""

from __future__ import annotations

import struct

from exports.cdf.reader import CdfReader
from exports.cdf.records import MAX_FAN_OUT
from exports.rules.attributes import epochs
from exports.rules.internal import fan_outs, miscounts
from exports.rules.nouns import Findings, error, warning
from lake.leap_seconds import LEAP_SECONDS

LITTLE_ENDIAN = "IBMPC"
OLD_READERS_BYTES = 2**31
REWRITE = "Write the file again"


def container(file: CdfReader) -> Findings:
    """F01, F03, F04 and P03: what the header says."""
    for name in file.r_variables:
        yield error("F01", name, "is an rVariable", "Make it a zVariable")
    if file.file_compression:
        yield error("F03", "", "is compressed as a whole", "Compress its large variables instead")
    if not file.has_checksum:
        yield warning("F04", "", "has no MD5 checksum", f"{REWRITE} with one")
    elif file.checksum_is_right is False:
        yield error("F04", "", "its MD5 checksum is wrong: bytes have changed", "Fetch or write it again")
    if (size := file.path.stat().st_size) >= OLD_READERS_BYTES:
        yield warning("P03", "", f"has {size} bytes, 2 GiB or more", "Compress more, or split the product")


def encoding(file: CdfReader) -> Findings:
    """P01, P02: how values lie in it."""
    if file.encoding != LITTLE_ENDIAN:
        yield warning("P01", "", f"has encoding {file.encoding}", f"{REWRITE} with {LITTLE_ENDIAN}")
    for variable in file.variables.values():
        if variable.sparse:
            yield warning("P02", variable.name, "leaves out records", "Write every record, with fill values")


def tt2000(file: CdfReader) -> Findings:
    """F05, F07: files with TT2000 times know the type, and the leap seconds."""
    if not any(variable.type == "CDF_TIME_TT2000" for variable in file.variables.values()):
        return
    version = tuple(int(part) for part in file.version.split(".")[:2])
    if version < (3, 6):
        yield error("F05", "", f"has CDF version {file.version}, TT2000 needs 3.6", f"{REWRITE} as version 3.9")
    last = int(LEAP_SECONDS[-1][0].replace("-", ""))
    if (found := file.leap_second_last_updated) != last:
        yield warning("F07", "", f"its leap seconds end with {found}, not {last}", f"{REWRITE} with the newest table")


def index(file: CdfReader) -> Findings:
    """F06, V30: what NASA's library would not read, or slowly."""
    for variable in file.variables.values():
        if variable.codec not in ("none", "gzip"):
            yield error("V30", variable.name, f"is compressed by {variable.codec}", "Use GZIP, level 1 to 9")
    try:
        found, wrong = fan_outs(file.path), miscounts(file.path)
    except (OSError, ValueError, struct.error) as problem:
        yield error("F06", "", f"its records cannot be followed ({problem})", "Fetch or write it again")
        return
    for what in wrong:
        yield error("F06", "", f"{what}; NASA's library calls it corrupted", "Fetch or write it again")
    for name, entries in found.items():
        if entries > MAX_FAN_OUT:
            what = f"an index record has {entries} entries; NASA's library takes {MAX_FAN_OUT}"
            yield error("F06", name, what, f"{REWRITE} by a writer that builds a tree")


def epoch_first(file: CdfReader) -> Findings:
    """F11: an epoch is there, and is the first variable."""
    found = epochs(file)
    if not found:
        yield error("F11", "", "has no time variable", "Add an Epoch of type CDF_TIME_TT2000")
    elif (first := next(iter(file.variables))) not in {epoch.name for epoch in found}:
        yield warning("F11", found[0].name, f"is behind {first}", "Make the epoch the first variable")


CHECKS = (container, encoding, tt2000, index, epoch_first)
