# SPDX-License-Identifier: Apache-2.0
"""The commands about CDF files of any origin: what one holds, where two differ, which rules one breaks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exports.versions import KEY
from lake.config import read_settings
from lake.definition_files import read_definitions
from lake.errors import ConfigurationError
from lake.setting_files import near
from swxlake.cli_options import Json, finish
from swxlake.outcome import Outcome

if TYPE_CHECKING:
    from exports.istp.structure import Structure

app = typer.Typer()
cdf = typer.Typer(help="Look into CDF files, of this lake or of others.", no_args_is_help=True)
app.add_typer(cdf, name="cdf")

File = Annotated[Path, typer.Argument(metavar="FILE", help="A CDF file.")]


@cdf.command(epilog="Example: swxlake cdf dump padre_meddea_l1-photon_20240916_v1.0.0.cdf --data 3")
def dump(
    file: File,
    data: Annotated[int, typer.Option("--data", metavar="N", min=0, help="Also the first N records.")] = 0,
    json: Json = False,
) -> None:
    """Show what a CDF file holds: attributes with their types, variables, records."""
    from exports.cdf.listing import document, listing  # noqa: PLC0415
    from exports.cdf.reader import CdfReader  # noqa: PLC0415

    with CdfReader(_there(file)) as reader:
        outcome = Outcome()
        if reader.checksum_is_right is False:
            outcome.problems.append(f"{file}: is damaged (wrong MD5 checksum). Fetch it again")
        if json:
            outcome.facts = document(reader, data)
        else:
            # All lines first, so that a file that cannot be read on shows nothing but the reason.
            print("\n".join(listing(reader, data)))
    finish(outcome, json)


@cdf.command(epilog="Example: swxlake cdf diff old.cdf new.cdf --same-dataset")
def diff(
    one: Annotated[Path, typer.Argument(metavar="A", help="A CDF file.")],
    other: Annotated[Path, typer.Argument(metavar="B", help="The CDF file to compare it with.")],
    ignore: Annotated[
        list[str] | None, typer.Option("--ignore", metavar="NAME", help="A global attribute to pass over.")
    ] = None,
    same_dataset: Annotated[
        bool, typer.Option("--same-dataset", help="Pass over what names the file: Data_version, Generation_date, ...")
    ] = False,
    json: Json = False,
) -> None:
    """List every difference of two CDF files: variables, attributes with their types, values. Exit code 1 if any."""
    from exports.cdf.difference import differences  # noqa: PLC0415
    from exports.datasets.master import PER_FILE  # noqa: PLC0415

    _check_ignored(ignore or [], _there(one), _there(other))
    passed_over = [*(ignore or ()), *(PER_FILE if same_dataset else ())]
    found = [str(difference) for difference in differences(_there(one), _there(other), passed_over)]
    finish(Outcome({"differences": len(found)}, found), json)


@cdf.command(epilog="Example: swxlake cdf check padre_meddea_l1-photon_20240916_v1.0.0.cdf")
def check(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="CDF files, or folders of them.")],
    json: Json = False,
) -> None:
    """Check CDF files against the rules of ISTP and SPDF, and those of our datasets against their structure.

    Exit code 1 if a rule is broken; warnings are notes.
    """
    from exports.rules.check import check_file  # noqa: PLC0415

    found = [file for path in files for file in _files_of(path)]
    outcome, warnings, structures = Outcome({"checked": len(found)}), 0, _structures()
    for file in found:
        for finding in check_file(file, structures.get(_dataset_of(file))):
            lines = outcome.problems if finding.severity == "error" else outcome.notes
            lines.append(f"{file}: {finding}")
            warnings += finding.severity == "warning"
    outcome.facts |= {"errors": len(outcome.problems), "warnings": warnings}
    finish(outcome, json)


def _structures() -> dict[str, Structure]:
    """The structure of each of our datasets by its name: files that bear one are compared with it."""
    from exports.datasets.dataset import datasets  # noqa: PLC0415

    found = datasets(read_definitions(read_settings().missions))
    return {dataset.name: dataset.structure for dataset in found}


def _dataset_of(file: Path) -> str:
    """The dataset that a file's name stands for; empty if it is not made as ours are."""
    match = KEY.fullmatch(file.stem)
    return match["source"] if match else ""


def _files_of(path: Path) -> list[Path]:
    """The file itself, or all CDF files below a folder."""
    if not path.is_dir():
        return [_there(path)]
    found = sorted(file for file in path.rglob("*") if file.suffix.lower() == ".cdf" and file.is_file())
    if not found:
        raise ConfigurationError(f"{path}: has no .cdf file below it. Correct the path.")
    return found


def _check_ignored(names: list[str], *files: Path) -> None:
    """Refuse names that no file has: a misspelled one would hide nothing, without a word."""
    from exports.cdf.reader import CdfReader  # noqa: PLC0415

    if not names:
        return
    known: set[str] = set()
    for path in files:
        with CdfReader(path, verify=False) as file:
            known |= {attribute.name for attribute in file.attributes if attribute.is_global}
    for name in (name for name in names if name not in known):
        raise ConfigurationError(f"--ignore {name}: is no global attribute of these files{near(name, known)}")


def _there(file: Path) -> Path:
    if not file.is_file():
        raise ConfigurationError(f"{file}: is no file. Correct the path.")
    return file
