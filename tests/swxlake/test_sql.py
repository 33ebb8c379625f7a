# SPDX-License-Identifier: Apache-2.0
"""What `swxlake sql` asks of the lake, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from lake.errors import ConfigurationError
from swxlake.sql_output import run_query


def test_one_query_has_one_result() -> None:
    with duckdb.connect() as connection:
        relation = run_query(connection, "SELECT 1 AS one;")
        assert relation is not None
        assert relation.fetchall() == [(1,)]


def test_two_queries_are_refused_before_either_runs() -> None:
    with duckdb.connect() as connection:
        with pytest.raises(ConfigurationError, match=r"^these are 2 queries. Give one at a time.$"):
            run_query(connection, "CREATE TABLE t (x INT); SELECT 2")
        assert connection.execute("SHOW TABLES").fetchall() == []


@pytest.mark.parametrize("statement", ["COPY (SELECT 1) TO '{path}'", "ATTACH '{path}' AS other"])
def test_what_would_write_a_file_is_refused(tmp_path: Path, statement: str) -> None:
    path = tmp_path / "file"
    with (
        duckdb.connect() as connection,
        pytest.raises(ConfigurationError, match=r"^this would write files. Ask with SELECT"),
    ):
        run_query(connection, statement.format(path=path))
    assert not path.exists()
