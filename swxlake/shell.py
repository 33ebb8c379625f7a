# SPDX-License-Identifier: Apache-2.0
"""The SQL shell: one prompt, history, completion of tables, columns and keywords."""

from __future__ import annotations

from pathlib import Path

import duckdb
from prompt_toolkit import PromptSession
from prompt_toolkit.completion import FuzzyWordCompleter
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.lexers import PygmentsLexer
from pygments.lexers.sql import SqlLexer

from lake.errors import ConfigurationError
from lake.store import Lake
from swxlake.sql_output import print_table, run_query

HELP = """Type SQL and end it with ; (or an empty line).
  .tables            all tables and views with what they hold
  .columns TABLE     columns of a table with type, unit and meaning
  .help              this text
  .quit              leave (also Ctrl-D)"""

TABLES = """
    SELECT schema_name || '.' || view_name AS name, comment FROM duckdb_views() WHERE NOT internal
    UNION ALL
    SELECT schema_name || '.' || table_name, comment FROM duckdb_tables() WHERE schema_name <> 'main'
    ORDER BY name
"""
COLUMNS = """
    SELECT column_name, data_type, comment FROM duckdb_columns()
    WHERE schema_name || '.' || table_name = $table ORDER BY column_index
"""
WORDS = """
    SELECT DISTINCT keyword_name AS word FROM duckdb_keywords() WHERE keyword_category = 'reserved'
    UNION SELECT schema_name || '.' || table_name FROM duckdb_columns() WHERE NOT internal
    UNION SELECT column_name FROM duckdb_columns() WHERE NOT internal
"""


def history_of(lake: Lake) -> Path | None:
    """Where the queries of the shell are kept: in the lake's folder, or nowhere if it has none."""
    return lake.root / ".sql_history" if isinstance(lake.root, Path) else None


def run_shell(connection: duckdb.DuckDBPyConnection, history: Path | None) -> None:
    """Read queries until the end of input; a wrong query shows its error and the prompt comes back."""
    words = sorted(str(row[0]) for row in connection.execute(WORDS).fetchall())
    session: PromptSession[str] = PromptSession(
        history=_history(history), completer=FuzzyWordCompleter(words, WORD=True), lexer=PygmentsLexer(SqlLexer)
    )
    print("swxlake sql: .tables lists what is there, .help explains, .quit leaves")
    while (statement := _read_statement(session)) is not None:
        if statement in (".quit", ".exit"):
            return
        _run(connection, statement)


def _history(path: Path | None) -> History:
    if path is None:
        return InMemoryHistory()
    try:
        path.touch()
    except OSError:
        return InMemoryHistory()
    return FileHistory(str(path))


def _read_statement(session: PromptSession[str]) -> str | None:
    """Lines up to one that ends in `;`, an empty one, or a dot command; None at the end of input."""
    lines: list[str] = []
    while True:
        try:
            line = session.prompt("sql> " if not lines else "  -> ")
        except KeyboardInterrupt:
            return ""
        except EOFError:
            return None
        lines.append(line)
        text = "\n".join(lines).strip()
        if not line.strip() or line.rstrip().endswith(";") or text.startswith("."):
            return text


def _run(connection: duckdb.DuckDBPyConnection, statement: str) -> None:
    command, _, rest = statement.partition(" ")
    try:
        if not statement:
            return
        if command == ".help":
            print(HELP)
        elif command == ".tables":
            print_table(connection.sql(TABLES))
        elif command == ".columns":
            print_table(connection.sql(COLUMNS, params={"table": rest.strip()}))
        elif command.startswith("."):
            print(f"There is no {command}; .help lists what there is.")
        elif (relation := run_query(connection, statement)) is not None:
            print_table(relation)
    except ConfigurationError as error:
        print(error)
