# SPDX-License-Identifier: Apache-2.0
"""Manifests: what a sender says that it sent, and what of that has come.

A manifest is a fact, so the journal keeps it (`journal/manifests/`), also when the sender cleans up. A file that it
names is looked for in the archive by its name, from whichever source it came; with other bytes than the manifest says
it is kept all the same, and told, until the right one comes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from ingest.sources.digests import Archive, Claim
from lake.state import State as Documents
from lake.store import Journal, Lake

KIND = "manifests"
STATE_KIND = "manifests"
BAD_SHOWN = 100  # lines of a manifest that are not understood, by number


@dataclass(frozen=True)
class Manifest:
    """A manifest as it came. `bad` are the numbers of lines that could not be understood.

    sha256 : of its bytes. number : how many came from its path by then, itself included; bytes that came before count
    again if others came between. missing, mismatched : names that it gives and that have not come, or only with other
    bytes.
    """

    source: str
    path: str
    day: date
    received_at: str
    sha256: str
    claims: tuple[Claim, ...]
    bad: tuple[int, ...] = ()
    number: int = 1
    missing: tuple[str, ...] = ()
    mismatched: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """What it has in the journal."""
        path = hashlib.sha256(self.path.encode("utf-8", "surrogateescape")).hexdigest()
        return f"{self.source}-{path[:16]}-{self.number:06}-{self.sha256[:32]}"

    @property
    def names(self) -> tuple[str, ...]:
        """Names that it gives, each once."""
        return tuple(dict.fromkeys(claim.name for claim in self.claims))

    @property
    def is_open(self) -> bool:
        """True as long as something that it names is lacking."""
        return bool(self.missing or self.mismatched)

    @property
    def ok(self) -> int:
        """Names that have come as it says."""
        return len(self.names) - len(self.missing) - len(self.mismatched)


def keep_manifest(lake: Lake, manifest: Manifest, before: Manifest | None) -> Manifest:
    """Write a manifest into the journal, once, behind the one that came from its path `before`; it is as open as can be
    until it is reconciled.
    """
    if before is not None:
        manifest = replace(manifest, number=before.number + (before.sha256 != manifest.sha256))
    content = {
        "source": manifest.source,
        "path": manifest.path,
        "day": manifest.day.isoformat(),
        "received_at": manifest.received_at,
        "sha256": manifest.sha256,
        "number": manifest.number,
        "files": [[claim.name, claim.algorithm, claim.digest, claim.bytes] for claim in manifest.claims],
        "bad": list(manifest.bad[:BAD_SHOWN]),
    }
    Journal(lake).write_once(KIND, manifest.key, content)
    return replace(manifest, missing=manifest.names)


def read_manifests(lake: Lake, source: str) -> dict[str, Manifest]:
    """The newest manifest of each path of a source, with what they lacked when they were last reconciled, by path."""
    lacking = Documents(lake, STATE_KIND).read(source)
    found = dict[str, Manifest]()
    for key, entry in Journal(lake).entries(KIND, f"{source}-").items():
        if entry["source"] != source:  # a source may have a name that another one begins with
            continue
        manifest = _manifest(entry, lacking.get(key))
        before = found.get(manifest.path)
        if before is None or (before.number, before.received_at) < (manifest.number, manifest.received_at):
            found[manifest.path] = manifest
    return found


def _manifest(entry: Mapping[str, Any], lacking: Mapping[str, Any] | None) -> Manifest:
    manifest = Manifest(
        source=entry["source"],
        path=entry["path"],
        day=date.fromisoformat(entry["day"]),
        received_at=entry["received_at"],
        sha256=entry["sha256"],
        claims=tuple(Claim(*line) for line in entry["files"]),
        bad=tuple(entry["bad"]),
        number=entry["number"],
    )
    if lacking is None:
        return replace(manifest, missing=manifest.names)
    return replace(manifest, missing=tuple(lacking["missing"]), mismatched=tuple(lacking["mismatched"]))


def note_lacking(lake: Lake, source: str, manifests: Iterable[Manifest]) -> None:
    """Write down what manifests lack, so that what has come once is not looked for again."""
    lacking = {m.key: {"missing": list(m.missing), "mismatched": list(m.mismatched)} for m in manifests}
    Documents(lake, STATE_KIND).write(source, lacking)


Unfit = set[tuple[Claim, str]]  # claims, and the hashes of archived bytes of which they are not true


def reconcile(manifest: Manifest, archive: Archive, others: Iterable[str] = (), unfit: Unfit | None = None) -> Manifest:
    """The manifest with what it lacks now; what had come stays. `others` are names at the source of what is no
    telemetry, such as sidecars: of these it is enough that they are there.

    Bytes that were found not to fit are noted in `unfit`, and not read again.
    """
    unfit = set() if unfit is None else unfit
    wanted, there = {*manifest.missing, *manifest.mismatched}, set(others)
    missing, mismatched = list[str](), list[str]()
    for claim in {claim.name: claim for claim in manifest.claims if claim.name in wanted}.values():
        hashes = archive.archived(claim.name)
        if not hashes and claim.name not in there:
            missing.append(claim.name)
        elif hashes and not any(_fits(claim, archive, sha256, unfit) for sha256 in hashes):
            mismatched.append(claim.name)
    return replace(manifest, missing=tuple(missing), mismatched=tuple(mismatched))


def _fits(claim: Claim, archive: Archive, sha256: str, unfit: Unfit) -> bool:
    if (claim, sha256) in unfit:
        return False
    fits = claim.fits(archive, sha256)
    if fits is False:  # bytes that cannot be read now are compared when they can
        unfit.add((claim, sha256))
    return fits is True


def extra(manifests: Iterable[Manifest], days: Mapping[str, date]) -> dict[str, list[str]]:
    """Names that no manifest gives, by the manifest that should: the first one of the name's day or a later one.

    `days` are those in the names of the files that came. Nothing is extra before there is such a manifest.
    """
    ordered = sorted(manifests, key=lambda manifest: (manifest.day, manifest.path))
    named = {claim.name for manifest in ordered for claim in manifest.claims}
    found: dict[str, list[str]] = {}
    for name, day in sorted(days.items()):
        if name not in named and (due := next((m for m in ordered if m.day >= day), None)) is not None:
            found.setdefault(due.path, []).append(name)
    return found


def new_manifest(
    at: tuple[str, str], day: date, read: tuple[Iterable[Claim], Iterable[int]], sha256: str, now: datetime
) -> Manifest:
    """A manifest that has just come from a source and a path there, with what was read in its bytes."""
    named = tuple(claim for claim in read[0] if claim.name)
    return Manifest(*at, day, now.isoformat(), sha256, named, tuple(read[1]))
