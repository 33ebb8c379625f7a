# SPDX-License-Identifier: Apache-2.0
"""Nights on a disk that is full or may not be written: they say so, leave nothing half, and a repeat completes them.

The disk is a small tmpfs, and folders are mounted onto themselves to be read only; only root may do so.
"""

from __future__ import annotations

import errno
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.torture.commands import Ended, finish, start
from bench.torture.failing import wrong_end, wrong_repeat
from bench.torture.figures import Figure, unmeasured
from bench.torture.scenes import Scene, clean_night
from bench.torture.state import product_state

FILLED, FILLED_SHORT = (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95), (0.1, 0.6)
CLOSED, CLOSED_SHORT = ("", "raw", "journal", "tables", "tables/ops", "exports", "locks"), ("tables",)
TMPFS = ("-t", "tmpfs", "swxlake-torture", "-o")
BLOCK = 4096

TARGET = "says so, with exit code 1; nothing half is visible; the rerun completes and equals"


class RefusedError(Exception):
    """This process may not mount a file system."""


@contextmanager
def mounted(place: Path, *options: str) -> Iterator[None]:
    """A file system at a folder, until the end of the block. Raises RefusedError where it may not be mounted."""
    mount(*options, str(place))
    try:
        yield
    finally:
        subprocess.run(["/bin/umount", "--lazy", str(place)], check=True)


def mount(*arguments: str) -> None:
    """Mount, or mount anew with another size, read-only or not. Raises RefusedError."""
    try:
        subprocess.run(["/bin/mount", *arguments], check=True, capture_output=True, text=True)
    except FileNotFoundError:
        raise RefusedError("there is no mount") from None
    except subprocess.CalledProcessError as error:
        raise RefusedError(f"mount is refused: {error.stderr.strip()}") from None


def size_of(folder: Path) -> int:
    """Bytes that a folder takes on a disk of blocks."""
    return sum(-(-path.lstat().st_size // BLOCK) * BLOCK + BLOCK for path in folder.rglob("*"))


def full(scene: Scene, folder: Path, share: float) -> str:
    """A night on a disk that holds a share of what it makes, then on a larger one; what was wrong, if anything."""
    place, size = Path(tempfile.mkdtemp(dir=folder)), size_of(scene.undisturbed)
    with mounted(place, *TMPFS, f"size={int(size * share)}"):
        root = place / "lake"
        ended = _night(scene, root)
        if ended.code == 0:
            return f"ended with 0 on a disk of {share:.0%} of its size"
        problem = wrong_end(scene, root, ended, os.strerror(errno.ENOSPC)) or half_visible(scene, root)
        mount("-o", f"remount,size={10 * size}", str(place))
        return problem or wrong_repeat(scene, root)


def read_only(scene: Scene, folder: Path, part: str) -> str:
    """A night that may only read a part of the lake, then one that may write; what was wrong, if anything."""
    root = Path(tempfile.mkdtemp(dir=folder)) / "lake"
    place = root / part
    place.mkdir(parents=True)
    with mounted(place, "--bind", str(place)):
        mount("-o", "remount,bind,ro", str(place))
        ended = _night(scene, root)
    if ended.code == 0:
        return "ended with 0"
    problem = wrong_end(scene, root, ended, os.strerror(errno.EROFS)) or half_visible(scene, root)
    return problem or wrong_repeat(scene, root)


def _night(scene: Scene, root: Path) -> Ended:
    """The scene's command, its words kept elsewhere than on the lake's disk."""
    command = scene.command(root, log=scene.folder / f"{root.parent.name}.log")
    return finish(start(command), command)


def half_visible(scene: Scene, root: Path) -> str:
    """Products that are not as they should be; a file that is there has to be whole."""
    if not root.exists():
        return ""
    whole, found = product_state(scene.lake(scene.undisturbed)), product_state(scene.lake(root))
    odd = sorted(key for key, sha256 in found.items() if whole.get(key) != sha256)
    return f"products are not whole: {', '.join(odd)}" if odd else ""


def run(short: bool, seed: int) -> list[Figure]:
    """The rows of this test."""
    shares, parts = (FILLED_SHORT, CLOSED_SHORT) if short else (FILLED, CLOSED)
    with tempfile.TemporaryDirectory(prefix="torture-") as name:
        folder = Path(name)
        scene = clean_night(folder)
        return [
            _figure(f"Disk full at {len(shares)} moments of a night", scene, full, {f"{s:.0%}": s for s in shares}),
            _figure(f"{len(parts)} folders that may only be read", scene, read_only, {p or "lake": p for p in parts}),
        ]


def _figure(test: str, scene: Scene, suffer: Callable[[Scene, Path, Any], str], cases: dict[str, Any]) -> Figure:
    try:
        problems = {what: suffer(scene, scene.folder, case) for what, case in cases.items()}
    except RefusedError as error:
        return unmeasured(test, TARGET, str(error))
    details = tuple(f"{what}: {problem}" for what, problem in problems.items() if problem)
    return Figure(test, TARGET, f"{len(cases) - len(details)} of {len(cases)}", not details, details)
