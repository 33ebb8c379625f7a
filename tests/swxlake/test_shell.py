# SPDX-License-Identifier: Apache-2.0
"""The SQL shell: when Enter ends a query, commands with a dot, and what a wrong one says."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from lake.errors import ConfigurationError
from swxlake.shell import Shell, is_complete, run_script, run_shell
from swxlake.sql_output import Format


@pytest.fixture
def shell() -> Shell:
    connection = duckdb.connect()
    connection.execute("CREATE SCHEMA toy; CREATE TABLE toy.wide AS SELECT 1 AS a, 'x' AS b FROM range(3)")
    connection.execute("COMMENT ON TABLE toy.wide IS 'three rows'")
    return Shell(connection)


@pytest.mark.parametrize(
    ("text", "complete"),
    [
        ("SELECT 1", False),
        ("SELECT 1;", True),
        ("SELECT\n1;  ", True),
        ("SELECT 1\n", True),
        ("", True),
        (".tables", True),
    ],
)
def test_a_semicolon_or_an_empty_line_ends_a_query(text: str, complete: bool) -> None:
    assert is_complete(text) is complete


def test_a_query_over_many_lines_is_typed_at_one_prompt(
    shell: Shell, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    history = tmp_path / "history"
    with create_pipe_input() as typed, create_app_session(input=typed, output=DummyOutput()):
        typed.send_text("SELECT count(*)\r AS n\r FROM toy.wide;\r.quit\r")
        run_shell(shell.connection, history)
    assert "3" in capsys.readouterr().out
    assert "+ FROM toy.wide;" in history.read_text().replace("+  ", "+ ")


def test_tables_are_found_by_a_word(shell: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    shell.run(".tables wid")
    assert "three rows" in capsys.readouterr().out
    shell.run(".tables else")
    assert "three rows" not in capsys.readouterr().out


def test_the_last_result_is_saved_whole(shell: Shell, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    query = tmp_path / "query.sql"
    query.write_text("SELECT range AS n FROM range(500)\n")
    shell.run(f".read {query}")
    shell.run(f".save {tmp_path}/rows.json")
    assert len(json.loads((tmp_path / "rows.json").read_text())) == 500
    shell.run(f".save {tmp_path}/rows.csv")
    assert len((tmp_path / "rows.csv").read_text().splitlines()) == 501
    shown = capsys.readouterr().out
    assert "first 100 rows; .save FILE writes all" in shown
    assert shown.count("written") == 2


def test_what_was_shown_is_what_is_saved_and_no_file_is_replaced(
    shell: Shell, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shell.run("SELECT uuid()::VARCHAR AS id;")
    shown = capsys.readouterr().out
    shell.run(f".save {tmp_path}/id.json")
    (row,) = json.loads((tmp_path / "id.json").read_text())
    assert row["id"] in shown
    shell.run("SELECT 1 AS id;")
    shell.run(f".save {tmp_path}/id.json")
    assert "is there already" in capsys.readouterr().out
    assert json.loads((tmp_path / "id.json").read_text()) == [row]


def test_all_tables_are_listed_those_of_the_missions_first(shell: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    shell.connection.execute("CREATE SCHEMA ops")
    for number in range(120):
        shell.connection.execute(f"CREATE TABLE ops.t{number} AS SELECT 1 AS a")
    shell.run(".tables")
    lines = capsys.readouterr().out.splitlines()
    assert "toy.wide" in next(line for line in lines if "." in line)
    assert sum("ops.t" in line for line in lines) == 120


def test_a_command_may_end_like_a_query(shell: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    shell.run(".columns toy.wide;")
    assert "varchar" in capsys.readouterr().out.lower()
    shell.run(".columns toy.none")
    assert "nothing of the name 'toy.none'" in capsys.readouterr().out


def test_what_a_terminal_would_act_on_is_escaped_and_kept_in_files(
    shell: Shell, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "line\x1b[31m\u202e.dat"
    for mode in ("off", "on"):
        shell.run(f".expand {mode}")
        shell.run(f"SELECT '{name}' AS \"a\x1b[1m\", ['{name}'] AS listed, {{'in': '{name}'}} AS nested;")
        shown = capsys.readouterr().out
        assert shown.count(r"line\x1b[31m\u202e.dat") == 3
        assert not {"\x1b", "\u202e"} & set(shown)
    shell.run(f"SELECT '{name}'::INTEGER;")
    assert "\x1b" not in capsys.readouterr().out
    shell.run(f"SELECT '{name}' AS name;")
    shell.run(f".save {tmp_path}/name.csv")
    assert name in (tmp_path / "name.csv").read_text()


# ---- queries from a pipe -----------------------------------------------------------------------------------------
def test_a_pipe_needs_no_semicolon_at_its_end_and_sees_no_prompt(
    shell: Shell, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    run_script(
        shell.connection, "SELECT 1 AS a; SELECT ';' AS b;\n\nSELECT\n  count(*) AS n\nFROM toy.wide", Format.CSV
    )
    assert capfdbinary.readouterr().out == b"a\n1\nb\n;\nn\n3\n"


def test_a_pipe_may_have_commands_and_ends_where_it_says(shell: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    run_script(shell.connection, "SELECT 41 AS a;\n.tables wid\n.quit\nSELECT 42", Format.TABLE)
    shown = capsys.readouterr().out
    assert shown.index("41") < shown.index("three rows")
    assert "42" not in shown


@pytest.mark.parametrize("text", ["SELECT nosuch", "SELECT nosuch;", "SELEC 1;", ".nothing", ".read nowhere.sql"])
def test_a_mistake_ends_a_pipe(shell: Shell, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigurationError):
        run_script(shell.connection, f"SELECT 41 AS a;\n{text}\nSELECT 42 AS b;", Format.TABLE)
    assert "42" not in capsys.readouterr().out


def test_wide_rows_are_shown_from_above_to_below(shell: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    shell.run(".expand on")
    shell.run("FROM toy.wide;")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines[1:4]] == [["row", "1"], ["a", "1"], ["b", "x"]]


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        (".save rows.csv", "there is no result yet"),
        (".save rows.doc", "ends in .csv, .json or .parquet"),
        (".read nowhere.sql", "nowhere.sql: is no file"),
        (".nothing", "There is no .nothing"),
        ("SELECT x;", "x"),
        ("SELECT error('no');", "no"),
        (".save /nowhere/at/all.csv", "there is no result yet"),
        (".read ~nobody_of_this_name/x.sql", "home directory"),
        (".tables \x00", "nothing of the name"),
        ("COPY toy.wide TO 'file.csv';", "this would write files"),
    ],
)
def test_a_mistake_is_told_and_the_prompt_comes_back(
    shell: Shell, statement: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shell.run(statement)
    assert told in capsys.readouterr().out


def test_files_that_cannot_be_read_or_written_are_told(
    shell: Shell, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.sql"
    bad.write_bytes(b"SELECT '\xff'")
    shell.run(f".read {bad}")
    assert "no text in UTF-8" in capsys.readouterr().out
    shell.run("FROM toy.wide;")
    shell.run(f".save {tmp_path}/nowhere/rows.csv")
    assert "nowhere/rows.csv" in capsys.readouterr().out
