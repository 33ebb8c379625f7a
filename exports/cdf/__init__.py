# SPDX-License-Identifier: Apache-2.0
"""CDF files as such: what they may hold, a writer that streams, a reader, a listing, and where two of them differ."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from exports.cdf.reading import CdfTable


def read(
    path: Path | str, variables: Sequence[str] | str | None = None, epoch: str | None = None, valid: bool = False
) -> CdfTable:
    """An ISTP CDF of any mission as a polars DataFrame, with its units, labels and constants beside it.

        fields = read("psp_fld_l2_mag_rtn_1min_20200104_v02.cdf")
        fields.frame, fields.units["psp_fld_l2_mag_RTN_1min"], fields.constants["label_RTN"]

    Parameters
    ----------
    path : of a CDF file
    variables : name or names of those to read; default all that vary with the epoch
    epoch : name of the time variable, if the file has several
    valid : also turn values outside VALIDMIN to VALIDMAX into null

    Returns
    -------
    CdfTable
        `frame` has one row per record of the epoch: `time` as UTC, times as TT2000, one column per variable. FILLVAL
        and NaN are null.

    Raises
    ------
    ExportError
        A file that cannot be read; a variable that it has not, or that does not vary with the epoch; several epochs to
        choose from.
    """
    from exports.cdf.reading import read_table  # noqa: PLC0415  polars takes a while to load

    return read_table(Path(path), [variables] if isinstance(variables, str) else variables, epoch, valid)
