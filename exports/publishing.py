# SPDX-License-Identifier: Apache-2.0
"""Gives the file of a product its name in a lake; what is there is not overwritten, but put away if changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from lake.files import sha256_of

if TYPE_CHECKING:
    from exports.product import WrittenProduct
    from lake.storage import Storage


class Published(NamedTuple):
    """What became of a file: `is_new` if nothing was there, and a sentence about a changed file that was put away."""

    is_new: bool
    damaged: str = ""


def publish(storage: Storage, key: str, written: WrittenProduct) -> Published:
    """Make a file the object of this key. One that is there with other bytes is moved to damaged/."""
    if storage.put_new(key, written.path):
        return Published(is_new=True)
    with storage.local(key) as path:
        found = sha256_of(path)
        if found == written.sha256:
            return Published(is_new=False)
        away = f"damaged/{key.rpartition('/')[2]}-{found[:12]}"
        storage.put(away, path)
    storage.remove(key)
    storage.put_new(key, written.path)
    where, moved = storage.uri(key), storage.uri(away)
    sentence = f"{where}: was changed after it had been published; moved to {moved} and written again"
    return Published(is_new=False, damaged=sentence)
