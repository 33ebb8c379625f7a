# SPDX-License-Identifier: Apache-2.0
"""The mark of a lake that is being restored: until it is gone, nobody takes what is there for the lake."""

from __future__ import annotations

from lake.errors import ConfigurationError
from lake.storage import Storage

MARKER = ".restore"  # at the root, as long as a restore is not finished


def is_half_restored(storage: Storage) -> bool:
    """Whether a restore was begun there and is not finished. Costs one look."""
    return storage.size(MARKER) is not None


def check_whole(storage: Storage) -> None:
    """Raises ConfigurationError if a restore was begun there and is not finished."""
    if is_half_restored(storage):
        raise ConfigurationError(f"{storage.address}: {half_restored(storage)}")


def half_restored(storage: Storage) -> str:
    """What is so, and what to do."""
    return (
        "is half restored. Repeat `swxlake restore` as it was given; to go on without what is missing, "
        f"remove {storage.uri(MARKER)}."
    )
