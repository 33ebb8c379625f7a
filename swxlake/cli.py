# SPDX-License-Identifier: Apache-2.0
"""The command line. Results go to stdout, logs to stderr; see `EXIT_CODES` for what a command's end means."""

from __future__ import annotations

import logging
import sys

import duckdb
import typer
from typer.exceptions import TyperException

from lake.errors import ConfigurationError, SwxlakeError
from swxlake import (
    cli_alerts,
    cli_backup,
    cli_cdf,
    cli_contacts,
    cli_datasets,
    cli_deliver,
    cli_forward,
    cli_gaps,
    cli_hapi,
    cli_health,
    cli_keep,
    cli_mirror,
    cli_monitor,
    cli_new,
    cli_read,
    cli_receive,
    cli_report,
    cli_run,
)

log = logging.getLogger("swxlake")

EXIT_CODES = """
Exit codes: 0 all done; 1 something was quarantined, failed a check or was refused, and the output says what;
2 wrong usage or configuration; 3 an internal error.
"""

app = typer.Typer(
    name="swxlake",
    help="From telemetry files to SQL and CDF products: a space-weather science operations center.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,
)
ALL = (
    cli_run,
    cli_receive,
    cli_contacts,
    cli_read,
    cli_gaps,
    cli_report,
    cli_alerts,
    cli_datasets,
    cli_cdf,
    cli_deliver,
    cli_forward,
    cli_backup,
    cli_mirror,
    cli_monitor,
    cli_hapi,
    cli_health,
    cli_keep,
    cli_new,
)
for commands in ALL:
    app.add_typer(commands.app)


def main() -> None:
    """Run the command line and leave with an exit code; a user's mistake never shows a traceback."""
    try:
        code = app(standalone_mode=False, prog_name="swxlake")
    except (ConfigurationError, SwxlakeError) as error:
        print(f"swxlake: {error}", file=sys.stderr)
        code = 2 if isinstance(error, ConfigurationError) else 1
    except TyperException as error:
        print(_usage(error), file=sys.stderr)
        code = 2
    except (KeyboardInterrupt, typer.Abort):
        code = 130
    except duckdb.Error as error:
        reason = " ".join(str(error).split())
        print(f"swxlake: {reason}. Run `swxlake doctor`; it names damaged files.", file=sys.stderr)
        code = 1
    except BrokenPipeError:
        code = _closed_pipe()
    except OSError as error:
        log.debug("the operating system refused", exc_info=error)
        print(f"swxlake: {_refusal(error)}", file=sys.stderr)
        code = 1
    except Exception as error:  # the last resort, so that the exit code is 3
        log.debug("internal error", exc_info=error)
        print(f"swxlake: internal error: {type(error).__name__}: {error}. Run with -vv for the place.", file=sys.stderr)
        code = 3
    sys.exit(code)


def _usage(error: TyperException) -> str:
    """What is wrong with a command line, and where its right form is explained."""
    message = error.format_message().strip()
    if message.startswith("Usage:"):  # no command at all: the help itself
        return message
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "swxlake"
    return f"swxlake: {message.removesuffix('.')}. See `{command} --help`."


def _refusal(error: OSError) -> str:
    """What the operating system refused, and where."""
    place = f"{error.filename}: {error.strerror}" if error.filename else str(error)
    return f"{place}. Free space or give the right to read and write there, then repeat."


def _closed_pipe() -> int:
    """The reader has gone (`| head`): nothing more can be said."""
    sys.stdout = None
    return 0


if __name__ == "__main__":
    main()
