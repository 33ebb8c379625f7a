# SPDX-License-Identifier: Apache-2.0
"""The MD5 checksum at the end of a CDF file."""

from __future__ import annotations

import hashlib
from pathlib import Path

MD5_BYTES, READ_BYTES = 16, 1024 * 1024


def checksum_is_right(path: Path) -> bool:
    """True if the last 16 bytes are the MD5 of all bytes before them."""
    left, digest = path.stat().st_size - MD5_BYTES, hashlib.md5(usedforsecurity=False)
    with path.open("rb") as stream:
        while left > 0 and (data := stream.read(min(left, READ_BYTES))):
            digest.update(data)
            left -= len(data)
        return stream.read() == digest.digest()
