# SPDX-License-Identifier: Apache-2.0
"""What others say of files in text: manifests and sidecars of digests, as `sha256sum` and `md5sum` write them.

They are text of others: bounded, never executed, and no name in them is ever used as a path.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lake.errors import StorageError
from lake.files import reading

ALGORITHMS = {32: "md5", 40: "sha1", 56: "sha224", 64: "sha256", 96: "sha384", 128: "sha512"}  # by digits
MANIFEST_BYTES, SIDECAR_BYTES = 64 << 20, 64 << 10  # a manifest of half a million files, a digest with room to spare
LINE_LENGTH = 4096  # characters; no name that we take is longer than 255


class Archive(Protocol):
    """What is asked of the archive about files by name."""

    def archived(self, name: str) -> list[str]:
        """Hashes of all bytes that are archived under a name."""

    def size(self, sha256: str, name: str) -> int | None:
        """Their number of bytes."""

    def digest(self, sha256: str, name: str, algorithm: str) -> str | None:
        """Another digest of them."""


@dataclass(frozen=True)
class Claim:
    """What a line says of a file: its name, and its digest and size where they are given."""

    name: str
    algorithm: str = ""
    digest: str = ""
    bytes: int | None = None

    def fits(self, archive: Archive, sha256: str) -> bool | None:
        """Whether it is true of archived bytes; None if they cannot be read, so that nobody knows."""
        if self.bytes is not None and archive.size(sha256, self.name) not in (None, self.bytes):
            return False
        if not self.digest:
            return True
        found = archive.digest(sha256, self.name, self.algorithm)
        return None if found is None else found == self.digest


def read_claims(file: Path, most: int = MANIFEST_BYTES) -> tuple[list[Claim], list[int]]:
    """The lines of a text, and the numbers of those that say nothing that can be understood.

    `file` is a copy of ours: what others may still change, or put a pipe in the place of, is never opened here. Raises
    StorageError if it cannot be read, is too large, or is no text.
    """
    with reading(file), file.open("rb") as stream:
        content = stream.read(most + 1)
    if len(content) > most:
        raise StorageError(f"is larger than {most} bytes, which no text of digests is. Remove it.")
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise StorageError("is no UTF-8 text. Send it again.") from None
    claims, bad = list[Claim](), list[int]()
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if text and not text.startswith("#"):
            claim = _claim(text)
            claims += [claim] if claim else []
            bad += [] if claim else [number]
    return claims, bad


def _claim(line: str) -> Claim | None:
    """A line of at most one digest, one size and one name in any order; None if it is something else."""
    if len(line) > LINE_LENGTH:
        return None
    words = line.split()
    digests = [word.lower() for word in words if _is_digest(word)]
    sizes = [int(word) for word in words if re.fullmatch(r"[0-9]{1,15}", word)]
    names = [word for word in words if not _is_digest(word) and not re.fullmatch(r"[0-9]{1,15}", word)]
    if len(digests) > 1 or len(sizes) > 1 or len(names) > 1 or not (digests or names):
        return None
    name = _name(names[0]) if names else ""
    if name is None:
        return None
    digest = digests[0] if digests else ""
    return Claim(name, ALGORITHMS.get(len(digest), ""), digest, sizes[0] if sizes else None)


def _is_digest(word: str) -> bool:
    return len(word) in ALGORITHMS and re.fullmatch(r"[0-9a-fA-F]+", word) is not None


def _name(word: str) -> str | None:
    """The last part of a name; None if it leads elsewhere or is none."""
    parts = word.removeprefix("*").removeprefix("./").split("/")
    plain = all(part not in ("", ".", "..") and part.isprintable() and "\\" not in part for part in parts)
    return parts[-1] if plain else None


def sidecar_claim(file: Path, of: str, algorithm: str) -> Claim | None:
    """What a sidecar says of its file: the line with its name, or the only one; None if it says nothing of it.

    Raises StorageError as `read_claims`.
    """
    claims, _ = read_claims(file, SIDECAR_BYTES)
    fitting = [claim for claim in claims if claim.name == of] or (claims if len(claims) == 1 else [])
    fitting = [claim for claim in fitting if claim.algorithm == algorithm and claim.name in ("", of)]
    return fitting[0] if fitting else None
