# SPDX-License-Identifier: Apache-2.0
"""What the libraries of the products' readers make of them, as tables in Markdown: python -m bench.readers FOLDER.

FOLDER holds CDF files, at any depth. Run it from the checkout in an environment that has pyspedas, sunpy[timeseries],
xarray, spacepy, pycdfpp and cdflib; they are none of swxlake's requirements, and a missing one is left out of the
tables. docs/how-to/read-a-product.md tells what came out.
"""

from __future__ import annotations

import logging
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import cdflib
import numpy as np

Values = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Variable:
    """A variable that varies with the record and is no time or text: what a reader should make of it."""

    name: str
    values: Values
    unit: str
    fill: Any
    is_data: bool

    @property
    def fills(self) -> int:
        return int(np.sum(self.values == self.fill))

    @property
    def is_real(self) -> bool:
        return self.values.dtype.kind == "f"


@dataclass(frozen=True)
class Loaded:
    """What a reader made of a variable: values (times as it likes), and its unit, or None if it tells none."""

    values: Values
    unit: str | None


@dataclass
class Tried:
    """What a reader made of all files."""

    files: int = 0
    loaded: int = 0
    missing: list[str] = field(default_factory=list)
    without_unit: dict[str, list[str]] = field(default_factory=dict)
    reals_with_fill: int = 0
    integers_with_fill: int = 0
    integers_made_zero: int = 0
    changed: list[str] = field(default_factory=list)
    words: dict[str, int] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)


def variables_of(path: Path) -> list[Variable]:
    """The numeric variables with a DEPEND_0, as cdflib reads them."""
    file = cdflib.CDF(path)
    found = []
    for name in file.cdf_info().zVariables:
        attributes = file.varattsget(name)
        if "DEPEND_0" in attributes and "CHAR" not in file.varinq(name).Data_Type_Description:
            values = np.asarray(file.varget(name))
            unit, fill = attributes.get("UNITS", "").strip(), np.asarray(attributes["FILLVAL"]).astype(values.dtype)
            found.append(Variable(name, values, unit, fill, attributes["VAR_TYPE"] == "data"))
    return found


# ---- readers: variables by name as each library gives them -----------------------------------------------------------
def with_pyspedas(path: Path) -> dict[str, Loaded]:
    """As tplot variables; support data too."""
    tplot = import_module("pyspedas")
    names = tplot.cdf_to_tplot(str(path), get_support_data=True)
    found = {}
    for name in names:
        data, about = tplot.get_data(name), tplot.get_data(name, metadata=True)
        if hasattr(data, "y") and isinstance(about, dict):  # constants come without times
            found[name] = Loaded(np.asarray(data.y), about.get("data_att", {}).get("units"))
    tplot.del_data("*")
    return found


def with_sunpy(path: Path) -> dict[str, Loaded]:
    """As columns of a time series; the columns of a vector are put together again."""
    series = import_module("sunpy.timeseries").TimeSeries(str(path))
    columns: dict[str, list[Any]] = {}
    for one in series if isinstance(series, list) else [series]:
        for column in one.columns:
            columns.setdefault(re.sub(r"_\d+$", "", column), []).append((column, one))
            if re.search(r"_\d+$", column):
                columns.setdefault(column, []).append((column, one))
    return {
        name: Loaded(
            np.stack([one.to_dataframe()[c].to_numpy() for c, one in parts], -1), str(parts[0][1].units[parts[0][0]])
        )
        for name, parts in columns.items()
    }


def with_xarray(path: Path) -> dict[str, Loaded]:
    """By cdflib, with fill made NaN."""
    data = import_module("cdflib.xarray").cdf_to_xarray(str(path), to_datetime=True, fillval_to_nan=True)
    return {str(name): Loaded(data[name].values, data[name].attrs.get("UNITS")) for name in data.variables}


def with_datamodel(path: Path) -> dict[str, Loaded]:
    """As spacepy's own arrays with attributes."""
    data = import_module("spacepy.datamodel").fromCDF(str(path))
    return {name: Loaded(np.asarray(data[name]), data[name].attrs.get("UNITS")) for name in data}


def with_pycdfpp(path: Path) -> dict[str, Loaded]:
    """As they stand in the file."""
    file = import_module("pycdfpp").load(str(path))
    found = {}
    for name, variable in file.items():
        attributes = dict(variable.attributes.items())
        unit = str(attributes["UNITS"].value) if "UNITS" in attributes else None
        found[name] = Loaded(np.asarray(variable.values), unit)
    return found


READERS: dict[str, tuple[str, Callable[[Path], dict[str, Loaded]]]] = {
    "pyspedas.cdf_to_tplot": ("pyspedas", with_pyspedas),
    "sunpy.timeseries.TimeSeries": ("sunpy", with_sunpy),
    "cdflib.xarray.cdf_to_xarray": ("cdflib", with_xarray),
    "spacepy.datamodel.fromCDF": ("spacepy", with_datamodel),
    "pycdfpp.load": ("pycdfpp", with_pycdfpp),
}


# ---- comparing ------------------------------------------------------------------------------------------------------
@contextmanager
def overheard() -> Iterator[list[str]]:
    """What is warned of and logged meanwhile."""
    heard: list[str] = []
    listener = logging.Handler(logging.WARNING)
    listener.emit = lambda record: heard.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger().addHandler(listener)
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            yield heard
        heard += [f"{each.category.__name__}: {each.message}" for each in warned]
    finally:
        logging.getLogger().removeHandler(listener)


def try_file(tried: Tried, path: Path, read: Callable[[Path], dict[str, Loaded]]) -> None:
    """Add what a reader makes of a file."""
    expected = variables_of(path)
    with overheard() as heard:
        try:
            loaded = read(path)
        except (OSError, ValueError, TypeError, KeyError, IndexError, AttributeError, RuntimeError) as error:
            tried.failures.append(f"{path.name}: {type(error).__name__}: {error}")
            return
    tried.files += 1
    for words in {_without_names(words, expected) for words in heard}:
        tried.words[words] = tried.words.get(words, 0) + 1
    for variable in expected:
        _compare(tried, path, variable, loaded.get(variable.name))


def _compare(tried: Tried, path: Path, variable: Variable, loaded: Loaded | None) -> None:
    place = f"{path.name.rpartition('_v')[0][:-9]}: {variable.name}"
    if loaded is None:
        tried.missing.append(place)
        return
    tried.loaded += 1
    if variable.unit and not (loaded.unit or "").strip():
        tried.without_unit.setdefault(variable.unit, []).append(place)
    if not _is_equal(variable, loaded.values):
        tried.changed.append(place)
    if variable.fills:
        at = loaded.values.reshape(variable.values.shape)[variable.values == variable.fill]
        left = bool(np.all(at == variable.fill))
        tried.reals_with_fill += left and variable.is_real
        tried.integers_with_fill += left and not variable.is_real
        tried.integers_made_zero += not variable.is_real and not np.any(at)


def _is_equal(variable: Variable, values: Values) -> bool:
    """The same numbers, where NaN may stand for fill."""
    if values.size != variable.values.size:
        return False
    mine, other = variable.values, values.reshape(variable.values.shape)
    good = mine != variable.fill
    return bool(np.array_equal(mine[good], other[good]))


def _without_names(words: str, variables: list[Variable]) -> str:
    names = sorted((variable.name for variable in variables), key=len, reverse=True)
    return re.sub(rf"\b({'|'.join(map(re.escape, names))})\b", "...", words)


# ---- telling --------------------------------------------------------------------------------------------------------
def report(tried: dict[str, Tried]) -> str:
    """Two tables in Markdown: what came out, and what the readers said."""
    lines = [
        "| reader | files | variables | units lost | fill left in reals | fill left in integers | integers made 0 |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, found in tried.items():
        lost = ", ".join(f"`{unit}` ({len(places)})" for unit, places in sorted(found.without_unit.items())) or "none"
        files, variables = found.files + len(found.failures), found.loaded + len(found.missing)
        lines.append(
            f"| {name} | {found.files} of {files} | {found.loaded} of {variables} | {lost} "
            f"| {found.reals_with_fill} | {found.integers_with_fill} | {found.integers_made_zero} |"
        )
    lines += ["", "| reader | what it says, ... for a variable | files |", "|---|---|---|"]
    for name, found in tried.items():
        lines += [f"| {name} | {words} | {count} |" for words, count in sorted(found.words.items())]
    for name, found in tried.items():
        places = {"failed": found.failures, "changed": found.changed, "not loaded": found.missing}
        lines += [f"\n{name}: {what}: {'; '.join(which)}" for what, which in places.items() if which]
    return "\n".join(lines)


def main() -> None:
    files = sorted(Path(sys.argv[1]).rglob("*.cdf"))
    tried = {}
    for name, (package, read) in READERS.items():
        try:
            title = f"{name} {version(package)}"
        except PackageNotFoundError:
            continue
        tried[title] = Tried()
        for path in files:
            try_file(tried[title], path, read)
    print(report(tried))


if __name__ == "__main__":
    main()
