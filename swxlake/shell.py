# SPDX-License-Identifier: Apache-2.0
"""The SQL shell: one prompt, history, completion of tables, columns and keywords, dot commands."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa
from prompt_toolkit import PromptSession
from prompt_toolkit.application import get_app
from prompt_toolkit.completion import FuzzyWordCompleter
from prompt_toolkit.filters import Condition
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.lexers import PygmentsLexer
from pygments.lexers.sql import SqlLexer

from lake.errors import ConfigurationError, SwxlakeError
from lake.files import reading
from lake.store import Lake
from swxlake.sql_output import (
    SHOWN_ROWS,
    Format,
    print_record,
    print_table,
    printable,
    run_query,
    split_queries,
    write_result,
)

HELP = """Type SQL and end it with ; (or an empty line).
  .tables [WORD]     all tables and views with what they hold, or those whose name has WORD in it
  .columns TABLE     columns of a table with type, unit and meaning
  .read FILE         run the query in a file, such as sql/queries/flare_candidates.sql
  .save FILE         write all rows of the last result to a new .csv, .json or .parquet
  .expand on|off     show each row from above to below, for wide tables
  .help              this text
  .quit              leave (also Ctrl-D)"""

TABLES = """
    SELECT name, comment
    FROM (
        SELECT schema_name || '.' || view_name AS name, comment FROM duckdb_views() WHERE NOT internal
        UNION ALL
        SELECT schema_name || '.' || table_name, comment FROM duckdb_tables() WHERE schema_name <> 'main'
    )
    WHERE contains(name, $word)
    ORDER BY starts_with(name, 'ops.'), name
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
LEAVING = (".quit", ".exit")
# What a statement may end in; the prompt comes back after each.
MISTAKES = (SwxlakeError, duckdb.Error, OSError, ValueError, RuntimeError)


def history_of(lake: Lake) -> Path | None:
    """Where the queries of the shell are kept: in the lake's folder, or nowhere if it has none."""
    return lake.root / ".sql_history" if isinstance(lake.root, Path) else None


def run_shell(connection: duckdb.DuckDBPyConnection, history: Path | None) -> None:
    """Read queries until the end of input; a wrong query shows its error and the prompt comes back."""
    words = sorted(str(row[0]) for row in connection.execute(WORDS).fetchall())
    session: PromptSession[str] = PromptSession(
        history=_history(history),
        completer=FuzzyWordCompleter(words, WORD=True),
        lexer=PygmentsLexer(SqlLexer),
        multiline=Condition(lambda: not is_complete(get_app().current_buffer.text)),
        prompt_continuation="  -> ",
    )
    shell = Shell(connection)
    print("swxlake sql: .tables lists what is there, .help explains, .quit leaves")
    while (statement := _read_statement(session)) is not None:
        if statement in LEAVING:
            return
        shell.run(statement)


def run_script(connection: duckdb.DuckDBPyConnection, text: str, form: Format) -> None:
    """Do what a text says, such as one from a pipe: SQL with `;` between, lines with a dot; without prompts.

    The last query needs no `;`. Raises ConfigurationError at the first mistake; what came before it is written.
    """
    shell, pending = Shell(connection), list[str]()
    for line in text.splitlines():
        so_far = "\n".join(pending).strip()
        if line.startswith(".") and (not so_far or so_far.endswith(";")):
            _run_queries(connection, so_far, form)
            pending.clear()
            if line.strip() in LEAVING:
                return
            shell.command(line)
        else:
            pending.append(line)
    _run_queries(connection, "\n".join(pending), form)


def _run_queries(connection: duckdb.DuckDBPyConnection, text: str, form: Format) -> None:
    for query in split_queries(connection, text):
        if (relation := run_query(connection, query)) is not None:
            write_result(relation, form, None)


def is_complete(text: str) -> bool:
    """Whether Enter ends what was typed: after a `;`, an empty line, nothing at all, or a command with a dot."""
    lines = text.split("\n")
    return not lines[-1].strip() or text.rstrip().endswith(";") or text.lstrip().startswith(".")


def _history(path: Path | None) -> History:
    if path is None:
        return InMemoryHistory()
    try:
        path.touch()
    except OSError:
        return InMemoryHistory()
    return FileHistory(str(path))


def _read_statement(session: PromptSession[str]) -> str | None:
    """What was typed, be it over many lines; None at the end of input, nothing after Ctrl-C."""
    try:
        return session.prompt("sql> ").strip()
    except KeyboardInterrupt:
        return ""
    except EOFError:
        return None


@dataclass
class Shell:
    """What stays from one statement to the next: the last query and its first rows, and how rows are shown."""

    connection: duckdb.DuckDBPyConnection
    query: str = ""
    first: pa.Table | None = None
    expanded: bool = False

    def run(self, statement: str) -> None:
        """Do what one statement says, and print what comes of it or why nothing does."""
        try:
            if statement.startswith("."):
                self.command(statement)
            elif statement:
                self._ask(statement)
        except MISTAKES as error:
            print("\n".join(map(printable, str(error).splitlines())))
        except KeyboardInterrupt:
            print("interrupted")

    def command(self, statement: str) -> None:
        """Do what a command with a dot says. Raises one of MISTAKES."""
        command, _, rest = statement.partition(" ")
        known: dict[str, Callable[[str], None]] = {
            ".help": lambda _: print(HELP),
            ".tables": lambda word: self._list(TABLES, "word", word),
            ".columns": lambda table: self._list(COLUMNS, "table", table),
            ".read": self._read,
            ".save": self._save,
            ".expand": self._expand,
        }
        name = command.rstrip(";")
        if name not in known:
            raise ConfigurationError(f"There is no {command}; .help lists what there is.")
        known[name](rest.strip().removesuffix(";").rstrip())

    def _list(self, query: str, parameter: str, value: str) -> None:
        relation = self.connection.sql(query, params={parameter: value})
        if not print_table(relation, limit=None).num_rows:
            print(f"There is nothing of the name {printable(value)!r}; .tables lists what there is.")

    def _ask(self, query: str) -> None:
        begun = time.monotonic()
        if (relation := run_query(self.connection, query)) is None:
            return
        show = print_record if self.expanded else print_table
        self.query, self.first = query, show(relation, rest=".save FILE writes all")
        print(f"{time.monotonic() - begun:.2f} s")

    def _read(self, name: str) -> None:
        path = Path(name).expanduser()
        if not path.is_file():
            raise ConfigurationError(f"{name}: is no file. Say .read and the path of one.")
        try:
            with reading(path):
                text = path.read_text("utf-8")
        except UnicodeDecodeError as error:
            raise ConfigurationError(f"{name}: is no text in UTF-8 ({error}). Give a file with a query.") from None
        self._ask(text)

    def _save(self, name: str) -> None:
        forms = {f".{form}": form for form in (Format.CSV, Format.JSON, Format.PARQUET)}
        form, path = forms.get(Path(name).suffix), Path(name).expanduser()
        if form is None:
            raise ConfigurationError(f"{name!r}: say .save and a name that ends in .csv, .json or .parquet.")
        if path.exists():
            raise ConfigurationError(f"{name}: is there already. Give another name, or remove it first.")
        write_result(self._last(), form, path)
        print(f"{name}: written")

    def _last(self) -> duckdb.DuckDBPyRelation:
        """The last result: the rows that were shown if these were all, else it is asked for again, for all of them."""
        if self.first is None:
            raise ConfigurationError("there is no result yet. Ask something, then .save it.")
        if self.first.num_rows <= SHOWN_ROWS:
            return self.connection.from_arrow(self.first)
        return self.connection.sql(self.query)

    def _expand(self, word: str) -> None:
        self.expanded = word != "off"
        print("Rows are shown from above to below." if self.expanded else "Rows are shown side by side.")
