# SPDX-License-Identifier: Apache-2.0
"""The private keys of an encrypted copy, tried at a few of its objects before all of them are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain

from lake.backup.sealing import NO_KEY, Identities, identities, unseal
from lake.backup.vault import Vault, scratch
from lake.errors import ConfigurationError

FEW = 3  # objects of each set of keys that are tried; some may be damaged, or in cold storage
Sealed = tuple[str, str]  # path of an encrypted object, sha256 of what is stored


def fitting_keys(vault: Vault, sealed: Iterable[Sealed]) -> Identities:
    """The private keys that the settings refer to; none if nothing is encrypted.

    Raises ConfigurationError if they are not there, or if there are whole objects and they open none of them.
    """
    rest = iter(sealed)
    if (first := next(rest, None)) is None:
        return ()
    keys, refused = identities(vault.who, vault.place), 0
    for one in _some(chain((first,), rest)):
        opens = _opens(vault, one, keys)
        if opens:
            return keys
        refused += opens is False
    if refused:
        raise ConfigurationError(
            f"{vault.who}: this key opens nothing of it. Give the private half of a key that it was encrypted for."
        )
    return keys


def _some(sealed: Iterable[Sealed]) -> Iterator[Sealed]:
    """The first objects of each set of keys, which the end of a name stands for."""
    counts = Counter[str]()
    for path, sha256 in sealed:
        mark = path.partition(".")[2]
        counts[mark] += 1
        if counts[mark] <= FEW:
            yield path, sha256


def _opens(vault: Vault, one: Sealed, keys: Identities) -> bool | None:
    """Whether the keys open an object; None if it is missing or damaged, and so tells nothing."""
    path, sha256 = one
    with scratch() as folder, vault.fetched(path, folder) as (source, stored):
        if stored is None:
            return None
        fault = unseal(source, folder / "plain", keys)
        if fault == NO_KEY:
            return False if stored == sha256 else None
        return True if fault is None else None
