# SPDX-License-Identifier: Apache-2.0
"""Manifests and sidecars: what a sender says that it sent is held against what came."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from ingest.shelf import Shelf
from ingest.sources.digests import Claim, read_claims
from ingest.sources.folder import FolderSource
from ingest.sources.manifests import extra, read_manifests, reconcile
from lake.config import Settings
from lake.errors import StorageError
from swxlake.receiving import status
from tests.ingest.sources.dropping import NAMES, Drop
from tests.meddea import housekeeping

MANIFEST = "file_manifest_20240916.txt"
CONTENT = {name: housekeeping(number) for number, name in enumerate(NAMES[:5])}
WRONG = housekeeping(99)


def lines(algorithm: str = "sha256", mode: str = " *") -> bytes:
    digests = {name: hashlib.new(algorithm, content).hexdigest() for name, content in CONTENT.items()}
    return "".join(f"{digest}{mode}{name}\n" for name, digest in digests.items()).encode()


def standing(drop: Drop) -> dict[str, tuple[str, ...]]:
    [manifest] = read_manifests(drop.lake, "moc").values()
    now = reconcile(manifest, Shelf(drop.lake))
    return {"missing": now.missing, "mismatched": now.mismatched, "ok": (str(now.ok),)}


@pytest.mark.parametrize("algorithm", ["sha256", "md5"])
def test_what_a_manifest_names_is_missing_or_mismatched_until_the_right_file_comes(
    tmp_path: Path, algorithm: str
) -> None:
    drop = Drop(tmp_path)
    drop.put(MANIFEST, lines(algorithm))
    for name in NAMES[:3]:
        drop.put(name, CONTENT[name])
    drop.put(NAMES[3], WRONG)
    drop.put(NAMES[10], housekeeping(50))
    done = drop.look()
    assert standing(drop) == {"missing": (NAMES[4],), "mismatched": (NAMES[3],), "ok": ("3",)}
    assert (drop.states()[NAMES[3]], drop.states()[NAMES[4]]) == ("mismatched", "missing")
    assert len(done.problems) == 2
    assert WRONG in drop.archived().values()  # nothing is lost
    drop.begin()
    assert drop.look().counts == {}
    drop.put(NAMES[3], CONTENT[NAMES[3]])
    drop.put(NAMES[4], CONTENT[NAMES[4]])
    drop.look()
    assert standing(drop) == {"missing": (), "mismatched": (), "ok": ("5",)}
    assert (drop.states()[NAMES[3]], drop.states()[NAMES[4]]) == ("landed", "landed")


def test_status_counts_what_a_manifest_lacks_and_ends_with_1_until_nothing_does(tmp_path: Path) -> None:
    drop = Drop(tmp_path)
    toml = tmp_path / "receive.toml"
    toml.write_text('lake = "lake"\n[sources.moc]\nfolder = { path = "drop" }\nsettle_seconds = 0\n')
    settings = Settings(root=drop.lake.root, receive=toml)
    drop.put(MANIFEST, lines())
    for name in NAMES[:3]:
        drop.put(name, CONTENT[name])
    drop.put(NAMES[3], WRONG)
    drop.put(NAMES[10], housekeeping(50))
    drop.look()
    outcome = status(drop.lake, settings)
    [row] = outcome.tables["manifests"]
    assert (row["ok"], row["missing"], row["bad_hash"], row["extra"], outcome.exit_code) == (3, 1, 1, 1, 1)
    assert [problem.count(NAMES[3]) for problem in outcome.problems] == [0, 1], "each is told once"
    for name in NAMES[3:5]:
        drop.put(name, CONTENT[name])
    drop.look()
    outcome = status(drop.lake, settings)
    [row] = outcome.tables["manifests"]
    assert (row["ok"], row["missing"], row["bad_hash"], row["extra"], outcome.problems) == (5, 0, 0, 1, [])


def test_a_manifest_that_its_sender_removes_still_counts_and_so_do_files_that_went(tmp_path: Path) -> None:
    drop = Drop(tmp_path)
    paths = [drop.put(MANIFEST, lines()), *(drop.put(name, CONTENT[name]) for name in NAMES[:4])]
    drop.look()
    for path in paths:
        path.unlink()
    drop.look()
    assert standing(drop) == {"missing": (NAMES[4],), "mismatched": (), "ok": ("4",)}


def test_a_corrected_manifest_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    drop = Drop(tmp_path)
    drop.put(MANIFEST, lines())
    drop.look()
    drop.put(MANIFEST, f"{NAMES[0]}\n".encode())
    drop.put(NAMES[0], CONTENT[NAMES[0]])
    drop.look()
    assert standing(drop) == {"missing": (), "mismatched": (), "ok": ("1",)}


def test_what_a_corrected_manifest_no_longer_names_is_neither_missing_nor_mismatched(tmp_path: Path) -> None:
    drop = Drop(tmp_path)
    drop.put(NAMES[0], WRONG)
    drop.put(MANIFEST, lines())
    drop.look()
    assert (drop.states()[NAMES[0]], drop.states()[NAMES[1]]) == ("mismatched", "missing")
    drop.put(MANIFEST, f"{NAMES[2]}\n".encode(), age=1000)
    drop.look()
    states = drop.states()
    assert [states[name] for name in NAMES[:3]] == ["landed", "ignored", "missing"]
    drop.begin()
    drop.look()
    assert {path: seen.state for path, seen in drop.follower.attempts.seen.items()} == {
        MANIFEST: "ignored",
        NAMES[0]: "landed",
        NAMES[2]: "missing",
    }
    drop.put(MANIFEST, lines())
    drop.look()
    assert drop.states()[NAMES[1]] == "missing"


def test_what_was_missing_in_its_folder_and_came_in_another_one_is_missing_no_longer(tmp_path: Path) -> None:
    drop = Drop(tmp_path, {"subfolders": True})
    drop.put(MANIFEST, lines())
    drop.look()
    drop.put(f"pass/{NAMES[0]}", CONTENT[NAMES[0]])
    drop.look()
    assert (drop.states()[NAMES[0]], drop.states()[NAMES[1]]) == ("known", "missing")


def test_a_manifest_that_is_withdrawn_and_comes_again_counts_also_after_a_restart(tmp_path: Path) -> None:
    drop = Drop(tmp_path)
    for number, text in enumerate((NAMES[0], NAMES[1], NAMES[0])):
        drop.put(MANIFEST, f"{text}\n".encode(), age=3000 - number)
        drop.look()
        assert standing(drop)["missing"] == (text,)


def test_the_same_manifest_under_two_names_counts_twice(tmp_path: Path) -> None:
    drop = Drop(tmp_path)
    names = [MANIFEST, MANIFEST.replace("16", "17")]
    for name in names:
        drop.put(name, lines())
    drop.look()
    assert sorted(read_manifests(drop.lake, "moc")) == names


def test_bytes_that_do_not_fit_a_manifest_are_hashed_for_it_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop, hashed = Drop(tmp_path), list[str]()
    original = Shelf.digest

    def digest(self: Shelf, sha256: str, name: str, algorithm: str) -> str | None:
        hashed.append(name)
        return original(self, sha256, name, algorithm)

    monkeypatch.setattr(Shelf, "digest", digest)
    drop.put(MANIFEST, lines("md5"))
    drop.put(NAMES[0], WRONG)
    for _ in range(5):
        drop.look()
    assert (drop.states()[NAMES[0]], hashed) == ("mismatched", [NAMES[0]])


@pytest.mark.parametrize("swapped", ["pipe", "link"])
def test_a_manifest_that_becomes_a_pipe_or_a_link_after_it_was_listed_is_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, swapped: str
) -> None:
    drop = Drop(tmp_path)
    path = drop.put(MANIFEST, lines())
    (tmp_path / "outside").write_bytes(lines())
    local = FolderSource.local

    def swap(self: FolderSource, name: str) -> Path | None:
        path.unlink()
        os.mkfifo(path) if swapped == "pipe" else path.symlink_to(tmp_path / "outside")
        return local(self, name)

    with monkeypatch.context() as patch:
        patch.setattr(FolderSource, "local", swap)
        assert drop.look().counts == {"failed": 1}
    assert (drop.look().counts, read_manifests(drop.lake, "moc")) == ({"refused": 1}, {})


def test_names_in_a_manifest_are_never_paths(tmp_path: Path) -> None:
    text = tmp_path / "manifest"
    digest = "0" * 64
    text.write_text(
        f"{digest}  ../{NAMES[0]}\n{digest}  /etc/passwd\na b c\n{digest} {digest}\n# note\n\n{NAMES[0]}\0\n"
    )
    claims, bad = read_claims(text)
    assert (claims, bad) == ([], [1, 2, 3, 4, 7])


@pytest.mark.parametrize(
    ("line", "claim"),
    [
        (f"{'A' * 64}  {NAMES[0]}", Claim(NAMES[0], "sha256", "a" * 64)),
        (f"{'0' * 32} *{NAMES[0]}", Claim(NAMES[0], "md5", "0" * 32)),
        (f"{'0' * 64}  sub/{NAMES[0]} 1234", Claim(NAMES[0], "sha256", "0" * 64, 1234)),
        (NAMES[0], Claim(NAMES[0])),
    ],
)
def test_lines_as_sha256sum_and_md5sum_write_them_are_understood(tmp_path: Path, line: str, claim: Claim) -> None:
    text = tmp_path / "manifest"
    text.write_bytes(b"\xef\xbb\xbf" + line.encode() + b"\r\n")
    assert read_claims(text) == ([claim], [])


def test_a_text_that_is_too_large_or_no_text_is_refused(tmp_path: Path) -> None:
    drop = Drop(tmp_path)
    drop.put(f"{NAMES[0]}.md5", b"0" * 100_000)
    drop.put(MANIFEST, b"\xff\xfe\x00")
    assert drop.look().counts == {"refused": 2}


def test_extra_files_belong_to_the_first_manifest_of_their_day_or_later(tmp_path: Path) -> None:
    drop = Drop(tmp_path)
    drop.put(MANIFEST, lines())
    drop.look()
    manifests = list(read_manifests(drop.lake, "moc").values())
    day = manifests[0].day
    assert extra(manifests, {"a": day, "b": day.replace(day=15), "c": day.replace(day=17)}) == {MANIFEST: ["a", "b"]}


# ---- sidecars ----------------------------------------------------------------------------------------------------
def test_a_file_its_index_and_its_digest_do_not_collide(tmp_path: Path) -> None:
    drop = Drop(tmp_path)
    name, content = NAMES[0], CONTENT[NAMES[0]]
    drop.put(name, content)
    drop.put(name.replace(".dat", ".idx"), b"index")
    drop.put(f"{name}.md5", f"{hashlib.md5(content).hexdigest()}  {name}\n".encode())  # noqa: S324
    drop.look()
    assert (list(drop.archived().values()), sorted(drop.states().values())) == (
        [content],
        ["ignored", "ignored", "landed"],
    )


@pytest.mark.parametrize("first", ["file", "digest"])
def test_a_digest_that_does_not_fit_makes_a_file_mismatched_until_one_of_them_is_right(
    tmp_path: Path, first: str
) -> None:
    drop = Drop(tmp_path)
    name, content = NAMES[0], CONTENT[NAMES[0]]
    puts = [
        lambda: drop.put(name, WRONG),
        lambda: drop.put(f"{name}.sha256", hashlib.sha256(content).hexdigest().encode()),
    ]
    for put in puts if first == "file" else reversed(puts):
        put()
        drop.look()
    assert drop.states()[name] == "mismatched"
    drop.begin()
    drop.put(name, content)
    drop.look()
    assert drop.states()[name] == "landed"
    drop.put(f"{name}.sha256", b"0" * 64)
    drop.look()
    assert drop.states()[name] == "mismatched"
    drop.put(f"{name}.sha256", hashlib.sha256(content).hexdigest().encode())
    drop.look()
    assert drop.states()[name] == "landed"


def test_a_sidecar_of_a_gigabyte_is_not_read(tmp_path: Path) -> None:
    drop = Drop(tmp_path)
    with drop.put(f"{NAMES[0]}.md5", b"").open("wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(StorageError, match="larger than"):
        read_claims(drop.folder / f"{NAMES[0]}.md5", 1 << 16)
    assert drop.look().counts == {"refused": 1}
