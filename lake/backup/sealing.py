# SPDX-License-Identifier: Apache-2.0
"""Encryption of objects with age (https://age-encryption.org/v1): anybody may seal, the keeper of a key may open."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from lake.backup.settings import Place
from lake.errors import ConfigurationError, WayError
from lake.files import reading, writing

Identities = Sequence[Any]  # private keys as pyrage has them, which comes without types
NO_KEY = "is sealed for another key"
SPOILED = "cannot be decrypted, it has changed"
NO_MATCH = "No matching keys found"  # how pyrage says that none of the keys is one of those it was sealed for
SECRET_KEY = "AGE-SECRET-KEY-1"  # noqa: S105  how the private half of a key begins


def key_mark(encrypt_to: Sequence[str]) -> str:
    """Eight hex digits that stand for a set of public keys: what is sealed for others is another object."""
    return hashlib.sha256(" ".join(sorted(encrypt_to)).encode()).hexdigest()[:8]


def seal(source: Path, target: Path, encrypt_to: Sequence[str]) -> None:
    """Write a file encrypted for these public keys. Raises StorageError, or WayError for a key that is none."""
    import pyrage  # type: ignore[import-untyped]  # noqa: PLC0415  only who encrypts needs it

    try:
        recipients = [pyrage.x25519.Recipient.from_str(key) for key in encrypt_to]
    except pyrage.RecipientError:
        raise WayError("encrypt_to: one of the keys is mistyped, as its checksum says. Copy it again.") from None
    with reading(source), source.open("rb") as plain, writing(target), target.open("xb") as sealed:
        pyrage.encrypt_io(plain, sealed, recipients)


def unseal(source: Path, target: Path, keys: Identities) -> str | None:
    """Write a file decrypted; NO_KEY or SPOILED, and no file, if it cannot be. A changed header may be either.

    Raises StorageError if a file of this machine cannot be read or written.
    """
    with reading(source), source.open("rb") as sealed, writing(target), target.open("xb") as plain:
        fault = _decrypted(sealed, plain, keys)
    if fault is not None:
        target.unlink()
    return fault


def _decrypted(sealed: IO[bytes], plain: IO[bytes], keys: Identities) -> str | None:
    import pyrage  # noqa: PLC0415

    try:
        pyrage.decrypt_io(sealed, plain, keys)
    except pyrage.DecryptError as error:
        return NO_KEY if NO_MATCH in str(error) else SPOILED
    except OSError as error:
        if error.errno is not None:  # the disk's; what was changed behind the header has none
            raise
        return SPOILED
    return None


def identities(who: str, place: Place) -> Identities:
    """The private keys that the settings refer to.

    Raises ConfigurationError that names the reference, not what stands there.
    """
    import pyrage  # noqa: PLC0415

    reference, text = _key_text(who, place)
    keys = [line.strip() for line in text.splitlines() if line.strip().startswith(SECRET_KEY)]
    try:
        found = [pyrage.x25519.Identity.from_str(key) for key in keys]
    except pyrage.IdentityError:
        found = []
    if not found:
        raise ConfigurationError(f"{who}: {reference} holds no private key of age ({SECRET_KEY}...). Put it there.")
    return found


def _key_text(who: str, place: Place) -> tuple[str, str]:
    """What the settings refer to for private keys, in words, and what is there."""
    if place.identity_env is not None:
        return f"the environment variable {place.identity_env}", os.environ.get(place.identity_env, "")
    if place.identity_file is None:
        raise ConfigurationError(
            f"{who}: the copy is encrypted. Give --identity-file, or identity_file or identity_env in backup.toml."
        )
    try:
        return str(place.identity_file), place.identity_file.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise ConfigurationError(
            f"{who}: the private key {place.identity_file}: {error.strerror}. Correct it."
        ) from None
