# SPDX-License-Identifier: Apache-2.0
"""Answers come from the catalog as it stands, within limits, and nothing is written for them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import lake.catalog
from lake.answers import Answers, Limits
from lake.catalog import CATALOG, refresh
from lake.definition_files import read_definitions
from lake.errors import ConfigurationError, LimitError, QueryError
from lake.store import Lake
from tests.conftest import Place
from tests.toy import DAY, L0, receive, toy_lake, write_missions

VALUES = f"SELECT value FROM {L0} ORDER BY value"  # noqa: S608


@pytest.fixture(autouse=True)
def no_views(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """sql/views/ speaks of the real missions; here it is an empty folder."""
    (tmp_path / "views").mkdir()
    monkeypatch.setattr(lake.catalog, "SQL_VIEWS", tmp_path / "views")


@pytest.fixture
def toy(tmp_path: Path) -> Lake:
    lake = toy_lake(tmp_path)
    receive(lake, "a" * 64, [3, 1, 2])
    refresh(lake)
    return lake


def values(answers: Answers) -> list[int]:
    found: list[int] = answers.ask(VALUES)["value"].to_pylist()
    return found


def hashes(folder: Path) -> dict[str, str]:
    return {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_rows_come_with_values_as_parameters(toy: Lake) -> None:
    answers = Answers(toy)
    found = answers.ask(f"SELECT value FROM {L0} WHERE value >= ? ORDER BY value", [2])  # noqa: S608
    assert found["value"].to_pylist() == [2, 3]
    named = answers.ask(f"SELECT value FROM {L0} WHERE value < $most", {"most": 2})  # noqa: S608
    assert named["value"].to_pylist() == [1]


def test_no_rows_have_a_schema(toy: Lake) -> None:
    found = Answers(toy).ask(f"SELECT value, time FROM {L0} WHERE value > 99")  # noqa: S608
    assert (found.num_rows, found.column_names) == (0, ["value", "time"])


def test_what_arrives_later_is_seen_once_the_catalog_was_built_anew(toy: Lake) -> None:
    answers = Answers(toy)
    receive(toy, "b" * 64, [9])
    assert values(answers) == [1, 2, 3]
    refresh(toy)
    assert values(answers) == [1, 2, 3, 9]


def test_a_stream_that_has_begun_ends_although_the_catalog_is_swapped(toy: Lake) -> None:
    answers = Answers(toy)
    stream = answers.stream(VALUES)
    next(stream)
    receive(toy, "b" * 64, [9])
    refresh(toy)
    assert values(answers) == [1, 2, 3, 9]
    assert sum(batch.num_rows for batch in stream) == 3


def test_a_question_that_takes_too_long_is_ended(toy: Lake) -> None:
    answers = Answers(toy, Limits(seconds=0.2))
    with pytest.raises(LimitError, match=r"takes longer than 0\.2 s"):
        answers.ask("SELECT count(*) FROM range(1000000000000)")
    assert values(answers) == [1, 2, 3]


def test_more_rows_than_allowed_are_refused(toy: Lake) -> None:
    with pytest.raises(LimitError, match="more than 2 rows"):
        Answers(toy, Limits(rows=2)).ask(VALUES)
    assert len(values(Answers(toy, Limits(rows=3)))) == 3


def test_more_memory_than_allowed_is_refused(toy: Lake) -> None:
    with pytest.raises(LimitError, match="more than 40 MB"):
        Answers(toy, Limits(memory_mb=40)).ask("SELECT list(i) FROM range(50000000) AS r(i)")


@pytest.mark.parametrize(
    "sql",
    [
        "COPY (SELECT 1) TO '{root}/stolen.csv'",
        "CREATE TABLE mine AS SELECT 1",
        "SET memory_limit = '100GB'",
        "ATTACH '{root}/other.duckdb'",
        "SELECT 1; SELECT 2",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM read_text('{root}/../outside.txt')",
        "SELECT * FROM glob('/etc/*')",
        "SELECT nothing FROM nowhere",
    ],
)
def test_nothing_is_written_and_nothing_outside_of_the_lake_is_read(toy: Lake, sql: str) -> None:
    assert isinstance(toy.root, Path)
    (toy.root.parent / "outside.txt").write_text("secret")
    before = hashes(toy.root)
    with pytest.raises(QueryError):
        Answers(toy).ask(sql.format(root=toy.root))
    assert hashes(toy.root) == before


def test_a_lake_without_a_catalog_is_told(tmp_path: Path) -> None:
    lake = toy_lake(tmp_path)
    with pytest.raises(ConfigurationError, match=r"has no catalog\. Run `swxlake night`"):
        Answers(lake)


def test_a_lake_that_cannot_be_written_answers(toy: Lake) -> None:
    assert isinstance(toy.root, Path)
    os.chmod(toy.root / CATALOG, 0o444)  # noqa: PTH101
    toy.root.chmod(0o555)
    try:
        assert values(Answers(toy)) == [1, 2, 3]
    finally:
        toy.root.chmod(0o755)


@pytest.fixture
def far(tmp_path: Path, s3_place: Place) -> Iterator[Lake]:
    with s3_place() as root:
        lake = Lake(root, read_definitions(write_missions(tmp_path / "far")))
        receive(lake, "a" * 64, [5])
        refresh(lake)
        yield lake


def test_a_lake_in_a_bucket_answers(far: Lake) -> None:
    answers = Answers(far)
    assert values(answers) == [5]
    receive(far, "b" * 64, [6])
    refresh(far)
    assert values(answers) == [5, 6]
    assert answers.ask("SELECT day FROM ops.table_days LIMIT 1")["day"].to_pylist() == [DAY]


def test_a_lake_that_was_moved_says_what_to_do(toy: Lake, tmp_path: Path) -> None:
    assert isinstance(toy.root, Path)
    moved = Lake(toy.root.rename(tmp_path / "moved"), toy.definitions)
    with pytest.raises(QueryError, match="builds the catalog anew"):
        values(Answers(moved))
    refresh(moved)
    assert values(Answers(moved)) == [1, 2, 3]
