# SPDX-License-Identifier: Apache-2.0
"""Which file of the source has which place here. Two may not have one; who is gone, or was moved, has none any more."""

from __future__ import annotations

from collections.abc import Callable

from exports.mirror.state import Kept, State


class Places:
    """Places of files: what the ledger has of each, and who has claimed it in the round that is going on."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._owners = {kept.target: path for path, kept in state.files.items()}
        self._laid = {kept.target: kept for kept in state.files.values()}
        self._claimed: dict[str, str] = {}

    def begin(self) -> None:
        """A new round: nobody has claimed anything."""
        self._claimed.clear()

    def rival(self, path: str, target: str, holds: Callable[[str, str], bool]) -> str | None:
        """Another file that has this place; else None, and it is this one's for the round.

        `holds` says of a path whether it is still there, and still goes to a target.
        """
        for other in (self._claimed.get(target), self._owners.get(target)):
            if other not in (None, path) and holds(other, target):
                return other
        self._claimed[target] = path
        return None

    def laid(self, target: str) -> Kept | None:
        """What we put into a place, whichever file of the source it was."""
        return self._laid.get(target)

    def keep(self, path: str, kept: Kept) -> None:
        """Note what lies in a place since; whoever had it before has it no more."""
        former = self._owners.get(kept.target)
        if former not in (None, path) and self._state.files[former].target == kept.target:
            del self._state.files[former]
        self._state.files[path] = kept
        self._owners[kept.target], self._laid[kept.target] = path, kept
