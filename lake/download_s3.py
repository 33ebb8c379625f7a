# SPDX-License-Identifier: Apache-2.0
"""Bytes of an object onto this machine: all of one version of it, taken up where a line broke, and checked.

S3 keeps the SHA-256 of an object's bytes if its writer gave one and sent it in one piece. That of an object sent in
parts is one of the hashes of its parts, which says nothing of the whole; botocore compares what else there is.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

from botocore.exceptions import BotoCoreError, FlexibleChecksumError

from lake.errors import StorageError
from lake.files import COPY_BYTES, new_file, writing

if TYPE_CHECKING:
    from lake.storage_s3 import Bucket

BREAKS = 4  # of one transfer, from each of which it is taken up; a line that breaks more often is down


class ObjectError(StorageError):
    """A refusal about one object: it does not fit its checksum, or these credentials may not have it.

    Whoever may not list hears the latter of what is not there, too.
    """


class Facts(NamedTuple):
    """What S3 says of an object: bytes, tag of this version, and the SHA-256 of its bytes in hex where it keeps one."""

    bytes: int
    tag: str
    sha256: str | None


def facts_of(answer: dict[str, object]) -> Facts:
    """The facts in an answer to HEAD with ChecksumMode."""
    tag, kept = str(answer["ETag"]), str(answer.get("ChecksumSHA256") or "")
    in_parts = "-" in tag or "-" in kept or answer.get("ChecksumType") == "COMPOSITE"
    sha256 = base64.b64decode(kept).hex() if kept and not in_parts else None
    return Facts(int(str(answer["ContentLength"])), tag, sha256)


def download(bucket: Bucket, key: str, target: Path, after: Callable[[int], None], most: int | None = None) -> str:
    """Write all bytes of an object to a new file; their sha256. `after` is told how many have come.

    Raises FileNotFoundError if it is not there, and ObjectError if it holds more bytes than `most`, was replaced
    meanwhile, or does not fit its own checksum; nothing is left then.
    """
    facts = bucket.facts(key)
    if facts is None:
        raise FileNotFoundError(key)
    if most is not None and facts.bytes > most:
        what = f"holds {facts.bytes} bytes, of which {most} are to be taken, as it has changed since it was listed"
        raise ObjectError(f"{bucket.uri(key)}: {what}. Repeat when its writer has finished.")
    with new_file(target) as file:
        sha256 = _received(bucket, key, facts, file, after)
        if facts.sha256 not in (None, sha256):
            what = f"its bytes do not fit its checksum, SHA-256 {facts.sha256}"
            raise ObjectError(f"{bucket.uri(key)}: {what}. Have it sent again.")
    return sha256


def _received(bucket: Bucket, key: str, facts: Facts, file: IO[bytes], after: Callable[[int], None]) -> str:
    """The sha256 of what was written to a file: all bytes of one version, whatever breaks on the way."""
    digest, done, breaks = hashlib.sha256(), 0, 0
    while True:
        try:
            with bucket.opened(key, facts.tag, done) as body:
                while block := body.read(COPY_BYTES):
                    if done + len(block) > facts.bytes:
                        raise ObjectError(f"{bucket.uri(key)}: gives more bytes than {facts.bytes}. Ask its keeper.")
                    digest.update(block)
                    with writing(Path(file.name)):
                        file.write(block)
                    done += len(block)
                    after(done)
            break
        except FlexibleChecksumError as error:
            raise ObjectError(f"{bucket.uri(key)}: {error}. Have it sent again.") from None
        except BotoCoreError as error:
            breaks += 1
            if breaks > BREAKS:
                reason = " ".join(str(error).split())
                raise StorageError(f"{bucket.uri(key)}: broke off ({reason}). Repeat when the link is up.") from None
    if done != facts.bytes:
        raise ObjectError(f"{bucket.uri(key)}: gives {done} bytes and says {facts.bytes}. Ask its keeper.")
    return digest.hexdigest()
