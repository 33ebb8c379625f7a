# SPDX-License-Identifier: Apache-2.0
"""What manifests and sidecars say, held against what a source gave. Nothing is lost: other bytes are kept and told."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from ingest.sources.attempts import Attempts, Seen
from ingest.sources.digests import Archive, Claim, read_claims, sidecar_claim
from ingest.sources.judging import Judged
from ingest.sources.manifests import (
    Manifest,
    Unfit,
    keep_manifest,
    new_manifest,
    note_lacking,
    read_manifests,
    reconcile,
)
from lake.files import sha256_of
from lake.store import Lake

log = logging.getLogger(__name__)

UNPAIRED = "says nothing of {of}"


class Pairing:
    """The manifests and sidecars of one source."""

    def __init__(self, lake: Lake, source: str, archive: Archive, attempts: Attempts) -> None:
        self.lake, self.source, self.archive, self.attempts = lake, source, archive, attempts
        self.manifests = read_manifests(lake, source) if lake.storage.is_there() else {}
        self._noted = dict(self.manifests)
        self._replaced = set(self.manifests)  # paths; also of what a process that was killed had not settled
        self._unfit: Unfit = set()

    def read(self, one: Judged, file: Path, now: datetime) -> tuple[str, str | None]:
        """Read a manifest or sidecar: what it is, in words, and the digest that it gives.

        Raises StorageError if it cannot be understood.
        """
        assert one.parsed is not None, "both kinds have names that say so"  # noqa: S101
        if one.kind == "sidecar":
            of, algorithm = one.parsed.of or "", one.parsed.algorithm or ""
            claim = sidecar_claim(file, of, algorithm)
            if claim is None:
                return UNPAIRED.format(of=of), None
            return f"gives the {algorithm} of {of}", f"{algorithm}:{claim.digest}"
        return self._keep(one, file, now), None

    def _keep(self, one: Judged, file: Path, now: datetime) -> str:
        assert one.day is not None, "the name of a manifest has its day"  # noqa: S101
        path, (claims, bad) = one.found.path, read_claims(file)
        manifest = new_manifest((self.source, path), one.day, (claims, bad), sha256_of(file), now)
        self.manifests[path] = keep_manifest(self.lake, manifest, self.manifests.get(path))
        self._replaced.add(path)
        unclear = f"; lines not understood: {', '.join(map(str, bad[:10]))}" if bad else ""
        return f"names {len(manifest.claims)} files{unclear}"

    def settle(self, now: datetime) -> dict[str, Seen]:
        """Files whose state is another one since something came: by sidecars first, then by manifests."""
        return dict(self._no_longer_named(now)) | dict(self._by_sidecars()) | dict(self._by_manifests(now))

    def _no_longer_named(self, now: datetime) -> Iterator[tuple[str, Seen]]:
        """Files of which a manifest said something that the one in its place does not."""
        names = {path: set(self.manifests[path].names) for path in self._replaced}
        self._replaced.clear()
        for at, seen in list(self.attempts.seen.items()) if names else ():
            if seen.manifest not in names or at.rpartition("/")[2] in names[seen.manifest]:
                continue
            if seen.state == "missing":
                why = f"is no longer named by {seen.manifest}"
                yield at, Seen("", 0, "ignored", now.isoformat(), why)
            elif seen.state == "mismatched":
                yield at, replace(seen, state="landed", detail="", manifest=None)

    def _by_sidecars(self) -> Iterator[tuple[str, Seen]]:
        for path, seen in list(self.attempts.seen.items()):
            if seen.digest is None:
                continue
            of = path.rpartition(".")[0]
            file = self.attempts.seen.get(of)
            if file is None or file.sha256 is None or file.state not in ("landed", "known", "mismatched"):
                continue
            # A digest is compared again only if it or the file is another one since.
            compared = f"{seen.digest} {file.sha256}"
            if seen.compared != compared:
                algorithm, _, digest = seen.digest.partition(":")
                fits = Claim(of.rpartition("/")[2], algorithm, digest).fits(self.archive, file.sha256)
                if fits is None:
                    continue  # until the bytes can be read
                self.attempts.put(path, replace(seen, compared=compared))
                yield from self._judged(of, file, "" if fits else f"its {algorithm} is not that in {path}", None)

    def _by_manifests(self, now: datetime) -> Iterator[tuple[str, Seen]]:
        """Names that have not come get an entry of their own, below the folder of their manifest."""
        others = not_landed(self.attempts) if any(manifest.is_open for manifest in self.manifests.values()) else set()
        for path, manifest in list(self.manifests.items()):
            before = {*manifest.missing, *manifest.mismatched}
            if not before:
                continue
            after = self.manifests[path] = reconcile(manifest, self.archive, others, self._unfit)
            folder = path.rpartition("/")[0]
            for name in sorted(before):
                at = f"{folder}/{name}" if folder else name
                yield from self._by_manifest(at, name, after, now)

    def _by_manifest(self, at: str, name: str, manifest: Manifest, now: datetime) -> Iterator[tuple[str, Seen]]:
        seen = self.attempts.seen.get(at)
        if name in manifest.missing:
            if seen is None:
                why = f"is named by {manifest.path} and has not come"
                yield at, Seen("", 0, "missing", now.isoformat(), why, manifest=manifest.path)
        elif seen is None:
            return
        elif seen.state == "missing":
            yield at, Seen("", 0, "known", now.isoformat(), "came from elsewhere")
        elif name in manifest.mismatched:
            yield from self._judged(at, seen, f"its bytes are not those that {manifest.path} names", manifest.path)
        elif seen.manifest == manifest.path or seen.manifest is None:
            yield from self._judged(at, seen, "", manifest.path)

    def _judged(self, path: str, seen: Seen, wrong: str, manifest: str | None) -> Iterator[tuple[str, Seen]]:
        """The entry of a file that a text was held against, if that changes it."""
        if wrong and seen.detail != wrong and seen.sha256 is not None:
            yield path, replace(seen, state="mismatched", detail=wrong, manifest=manifest)
        elif not wrong and seen.state == "mismatched":
            yield path, replace(seen, state="landed", detail="", manifest=manifest)

    def write(self) -> None:
        """Write down what manifests lack, if that has changed."""
        if self.manifests != self._noted:
            note_lacking(self.lake, self.source, self.manifests.values())
            self._noted = dict(self.manifests)


def not_landed(attempts: Attempts) -> set[str]:
    """Names of what is at a source and is no telemetry, such as sidecars."""
    return {path.rpartition("/")[2] for path, seen in attempts.seen.items() if seen.state in ("ignored", "refused")}
