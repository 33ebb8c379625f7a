# SPDX-License-Identifier: Apache-2.0
"""What a lake may rely on wherever it lies: the same facts hold in a folder and in S3."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore.exceptions import ClientError

from lake.config import CHECKOUT
from lake.errors import StorageError
from lake.files import folder_while_alive
from lake.storage import Storage, open_storage
from lake.storage_s3 import Bucket
from tests.conftest import Place
from tests.s3_server import Faults, fresh_bucket

PROCESSES, KEYS = 6, 30


@pytest.fixture(params=["folder", "s3"])
def root(request, tmp_path) -> Iterator[Path | str]:
    if request.param == "folder":
        yield tmp_path / "a" / "lake"
        return
    place: Place = request.getfixturevalue("s3_place")
    with place() as address:
        yield address


@pytest.fixture
def storage(root) -> Storage:
    return open_storage(root)


def keys(storage: Storage, prefix: str = "") -> list[str]:
    return [entry.key for entry in storage.entries(prefix)]


def test_an_object_is_read_as_it_was_put_and_a_later_put_replaces_it(storage):
    storage.put("raw/a.bin", b"one")
    storage.put("raw/a.bin", b"and two")
    assert storage.read("raw/a.bin") == b"and two"
    assert storage.size("raw/a.bin") == 7


def test_what_is_published_is_read_and_has_its_media_type(storage):
    storage.publish("site/index.html", b"old", "text/html; charset=utf-8")
    storage.publish("site/index.html", b"<p>new", "text/html; charset=utf-8")
    assert (storage.read("site/index.html"), keys(storage)) == (b"<p>new", ["site/index.html"])
    if isinstance(storage, Bucket):
        head = storage.client.head_object(Bucket=storage.bucket, Key=f"{storage.prefix}site/index.html")
        assert head["ContentType"] == "text/html; charset=utf-8"
    else:
        assert Path(storage.uri("site/index.html")).stat().st_mode & 0o777 == 0o644


def test_an_object_is_put_from_a_file_or_is_empty(storage, tmp_path):
    source = tmp_path / "source"
    source.write_bytes(bytes(range(256)) * 5000)
    storage.put("raw/a.bin", source)
    storage.put("raw/empty", b"")
    assert storage.read("raw/a.bin") == source.read_bytes()
    assert storage.size("raw/a.bin") == 1_280_000
    assert storage.read("raw/empty") == b""
    assert storage.size("raw/empty") == 0


def test_a_lake_is_there_once_it_has_an_object(storage):
    assert not storage.is_there()
    assert keys(storage) == []
    storage.put("journal/versions/a.json", b"{}")
    assert storage.is_there()


def test_what_is_not_there_has_no_size_and_is_refused_by_name(storage):
    assert storage.size("raw/a.bin") is None
    with pytest.raises(StorageError, match=r"raw/a\.bin"):
        storage.read("raw/a.bin")


def test_a_folder_is_no_object(storage):
    storage.put("raw/day/a.bin", b"1")
    assert storage.size("raw/day/a.bin/more") is None
    assert keys(storage, "raw/day/") == ["raw/day/a.bin"]


def test_entries_are_those_with_the_prefix_by_key_with_size_and_time(storage):
    for key in ("raw/b", "raw/a/2", "raw/a/1", "rawer", "tables/x", "raw/a-0"):
        storage.put(key, key.encode())
    entries = list(storage.entries("raw/"))
    assert [(entry.key, entry.bytes) for entry in entries] == [
        ("raw/a-0", 7),
        ("raw/a/1", 7),
        ("raw/a/2", 7),
        ("raw/b", 5),
    ]
    assert keys(storage, "raw/a") == ["raw/a-0", "raw/a/1", "raw/a/2"]
    assert keys(storage, "nothing/") == []
    assert all(entry.modified > 1_600_000_000 for entry in entries)


def test_entries_of_s3_come_in_as_many_answers_as_they_need(s3_root):
    bucket = Bucket(s3_root)
    names = [f"journal/arrivals/{number:08d}.json" for number in range(5)]
    for name in names:
        bucket.put(name, b"{}")
    event = "before-parameter-build.s3.ListObjectsV2"
    bucket.client.meta.events.register(event, lambda params, **_: params.update(MaxKeys=2))
    assert keys(bucket, "journal/") == names


@pytest.mark.parametrize("key", ["raw/a b", "raw/ä", "raw/a+b", "raw/a%20b", "tables/t/day=2024-09-16/p.parquet"])
def test_a_key_of_any_characters_comes_back(storage, key):
    storage.put(key, b"1")
    assert storage.read(key) == b"1"
    assert keys(storage) == [key]
    assert storage.key(storage.uri(key)) == key


def test_put_new_writes_once(storage, tmp_path):
    source = tmp_path / "source"
    source.write_bytes(b"three")
    assert storage.put_new("journal/versions/a.json", b"one")
    assert not storage.put_new("journal/versions/a.json", b"two")
    assert not storage.put_new("journal/versions/a.json", source)
    assert storage.read("journal/versions/a.json") == b"one"
    assert storage.put_new("journal/versions/b.json", source)
    assert storage.read("journal/versions/b.json") == b"three"


def test_a_large_file_is_put_once(storage, tmp_path):
    sources = [tmp_path / name for name in ("one", "two")]
    for source in sources:
        source.write_bytes(source.name.encode() * 3_000_000)
    assert [storage.put_new("raw/large", source, 0o444) for source in sources] == [True, False]
    assert storage.read("raw/large") == sources[0].read_bytes()
    assert keys(storage) == ["raw/large"]


def test_what_was_removed_may_be_put_anew_and_removing_nothing_is_no_error(storage):
    storage.put_new("raw/a", b"one")
    storage.remove("raw/a")
    storage.remove("raw/a")
    assert storage.size("raw/a") is None
    assert storage.put_new("raw/a", b"two")


def test_a_source_that_is_not_there_leaves_nothing(storage, tmp_path):
    for put in (storage.put, storage.put_new):
        with pytest.raises(StorageError, match="missing"):
            put("raw/a", tmp_path / "missing")
    assert keys(storage) == []


def test_a_local_file_has_the_bytes(storage):
    storage.put("exports/a.cdf", b"cdf")
    with storage.local("exports/a.cdf") as path:
        assert path.read_bytes() == b"cdf"
        assert path.suffix == ".cdf"
    assert storage.read("exports/a.cdf") == b"cdf"


def test_no_copy_is_left_behind_by_a_local_file(storage):
    storage.put("exports/a.cdf", b"cdf")
    with storage.local("exports/a.cdf") as path:
        pass
    assert path.exists() == (storage.options is None)


def test_a_staged_file_becomes_the_object(storage):
    path = storage.staging("tables/toy/t/part-0.parquet")
    path.write_bytes(b"rows" * 1000)
    storage.finish("tables/toy/t/part-0.parquet", path)
    assert storage.read("tables/toy/t/part-0.parquet") == b"rows" * 1000
    assert path.exists() == (storage.options is None)


def test_scratch_is_no_part_of_the_lake(storage):
    storage.put("raw/a", b"1")
    with storage.scratch() as folder:
        (folder / "b").write_bytes(b"2")
        assert storage.put_new("exports/b", folder / "b", 0o444)
        assert keys(storage, "exports/") == ["exports/b"]
    assert not folder.exists()
    assert keys(storage) == ["exports/b", "raw/a"]
    assert storage.read("exports/b") == b"2"


def test_arrow_opens_an_object_by_its_uri(storage):
    rows = pa.table({"x": [1, 2, 3]})
    path = storage.staging("tables/x.parquet")
    pq.write_table(rows, path)
    storage.finish("tables/x.parquet", path)
    where = storage.uri("tables/x.parquet").removeprefix("s3://")
    assert pq.read_table(where, filesystem=storage.arrow).equals(rows)


def test_a_reader_sees_an_object_whole_while_it_is_replaced(storage):
    contents = [letter * 400_000 for letter in (b"a", b"b")]
    storage.put("catalog", contents[0])
    seen = []
    writer = threading.Thread(target=lambda: [storage.put("catalog", contents[i % 2]) for i in range(1, 12)])
    writer.start()
    while writer.is_alive():
        seen += [(entry.key, entry.bytes) for entry in storage.entries("")]
        assert storage.read("catalog") in contents
    writer.join()
    assert set(seen) <= {("catalog", 400_000)}
    assert keys(storage) == ["catalog"]


started: list[Barrier] = []


def _begin(barrier: Barrier) -> None:
    started.append(barrier)


def _claim_all(task: tuple[list[Path | str], int]) -> list[list[str]]:
    """The keys that this process won in each place, when all processes ask for all of them at once."""
    roots, who = task
    places = [open_storage(root) for root in roots]
    started[0].wait(60)
    names = [f"journal/versions/{number}.json" for number in range(KEYS)]
    return [[name for name in names if place.put_new(name, str(who).encode())] for place in places]


def test_of_six_processes_that_claim_a_key_one_wins(tmp_path, s3_root):
    spawn = multiprocessing.get_context("spawn")
    with spawn.Pool(PROCESSES, _begin, (spawn.Barrier(PROCESSES),)) as pool:
        won = pool.map(_claim_all, [([tmp_path, s3_root], who) for who in range(PROCESSES)], chunksize=1)
    _assert_one_winner(open_storage(tmp_path), [names for names, _ in won], KEYS)
    _assert_one_winner(open_storage(s3_root), [names for _, names in won], KEYS)


def _assert_one_winner(storage: Storage, won: list[list[str]], wanted: int) -> None:
    winners = {name: str(who).encode() for who, names in enumerate(won) for name in names}
    assert sum(map(len, won)) == len(winners) == wanted
    assert {name: storage.read(name) for name in keys(storage)} == winners


def test_who_wins_a_key_knows_it_though_answers_are_lost(moto, monkeypatch):
    monkeypatch.setenv("SWXLAKE_S3_TIMEOUT_SECONDS", "1")

    def claim(bucket: Bucket, who: int) -> list[str]:
        return [name for name in map(str, range(12)) if bucket.put_new(name, str(who).encode())]

    with fresh_bucket(moto) as root, ThreadPoolExecutor(3) as pool:
        bucket = Bucket(root)
        with moto.faults(Faults(fail=0.3, hang=0.02, hang_seconds=3, seed=8)) as counts:
            won = list(pool.map(claim, [bucket] * 3, range(3)))
        _assert_one_winner(bucket, won, 12)
    assert counts["failed"] > 5
    assert counts["hung"] > 0


def refusal(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": ""}}, "any")


def losing(call: Callable[..., Any], code: str) -> Callable[..., Any]:
    """The call; the first one takes effect and says something else."""
    losses = [refusal(code)]

    def lossy(**options: Any) -> Any:
        answer = call(**options)
        if losses:
            raise losses.pop()
        return answer

    return lossy


def test_who_wrote_a_key_knows_it_though_it_was_told_of_a_conflict(s3_root, monkeypatch):
    bucket = Bucket(s3_root)
    monkeypatch.setattr(bucket.client, "put_object", losing(bucket.client.put_object, "ConditionalRequestConflict"))
    assert bucket.put_new("journal/a", b"one")
    assert not bucket.put_new("journal/a", b"two")
    assert bucket.read("journal/a") == b"one"


def test_who_wrote_a_large_file_knows_it_though_its_upload_is_gone(s3_root, monkeypatch, tmp_path):
    sources = [tmp_path / name for name in ("one", "two")]
    for source in sources:
        source.write_bytes(source.name.encode() * 3_000_000)
    bucket = Bucket(s3_root)
    complete = losing(bucket.client.complete_multipart_upload, "NoSuchUpload")
    monkeypatch.setattr(bucket.client, "complete_multipart_upload", complete)
    assert [bucket.put_new("raw/large", source) for source in sources] == [True, False]

    def ended(**_: Any) -> None:
        raise refusal("NoSuchUpload")

    monkeypatch.setattr(bucket.client, "complete_multipart_upload", ended)
    with pytest.raises(StorageError, match=r"raw/other: the upload was ended by the bucket\. Repeat\.$"):
        bucket.put_new("raw/other", sources[0])


HOLDER = """
import sys
from pathlib import Path
from lake.files import folder_while_alive
print(folder_while_alive(Path(sys.argv[1])), flush=True)
sys.stdin.read()
"""


def test_a_folder_of_a_killed_process_is_removed_by_the_next_and_that_of_a_living_one_stays(tmp_path):
    command, pipe = [sys.executable, "-c", HOLDER, str(tmp_path / "aside")], subprocess.PIPE
    with (
        subprocess.Popen(command, cwd=CHECKOUT, text=True, stdin=pipe, stdout=pipe) as one,
        subprocess.Popen(command, cwd=CHECKOUT, text=True, stdin=pipe, stdout=pipe) as other,
    ):
        folders = [Path(process.stdout.readline().rstrip()) for process in (one, other) if process.stdout]
        (folders[0] / "half.parquet").write_bytes(b"half")
        assert all(folder.is_dir() for folder in folders)
        one.kill()
        one.wait()
        mine = folder_while_alive(tmp_path / "aside")
        assert set((tmp_path / "aside").iterdir()) == {folders[1], mine}
