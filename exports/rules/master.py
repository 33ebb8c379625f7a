# SPDX-License-Identifier: Apache-2.0
"""Compares a file with the structure of its dataset, which is the master's by construction: M01 to M10 and F02.

SPDF compares each file that it receives with the master, and sends back what differs. What may differ are the global
attributes that tell one file from the next, and constants of which dated calibrations give the values.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from exports.cdf.reader import CdfReader, Entry, VariableInfo, default_pad
from exports.cdf.spec import WRITTEN_VERSION, Attribute, VariableSpec, numbers
from exports.istp.structure import Structure
from exports.istp.variable import EPOCH, Variable
from exports.rules.attributes import plain
from exports.rules.data import repeats
from exports.rules.files import LITTLE_ENDIAN
from exports.rules.nouns import Findings, error
from lake.leap_seconds import LEAP_SECONDS

EXPORT = "Run `swxlake export` again; a new structure needs a new major version in cdf.yaml"


def compare(file: CdfReader, structure: Structure, free: Sequence[str] = (), dated: Sequence[str] = ()) -> Findings:
    """Where the file is not as its structure says; `free` globals and `dated` constants may be anything."""
    yield from _variables(file, structure)
    yield from _globals(file, structure, free)
    yield from _declared(file, structure)
    yield from _container(file)
    yield from _order(file, structure)
    if file.majority != structure.majority:
        what = f"is {file.majority}-major, the product {structure.majority}-major"
        yield error("F02", "", what, EXPORT)
    for variable in structure.variables:
        found = file.variables.get(variable.spec.name)
        if found is not None:
            yield from _form(found, variable.spec)
            yield from _attributes(found, variable.spec)
            if variable.column is None and variable.spec.name not in dated:
                yield from _constant(file, found, variable)


def _container(file: CdfReader) -> Findings:
    """What rules about any file only warn of, and this writer never does."""
    last = int(LEAP_SECONDS[-1][0].replace("-", ""))
    wrong = {
        f"has CDF version {file.version}": file.version != WRITTEN_VERSION,
        "has no MD5 checksum": not file.has_checksum,
        f"has encoding {file.encoding}": file.encoding != LITTLE_ENDIAN,
        f"its leap seconds end with {file.leap_second_last_updated}": file.leap_second_last_updated != last,
        "leaves out records": any(variable.sparse for variable in file.variables.values()),
    }
    for what in (what for what, is_so in wrong.items() if is_so):
        yield error("M09", "", what, "Run `swxlake export` again; another program wrote or changed it")


def _order(file: CdfReader, structure: Structure) -> Findings:
    epoch = file.variables.get(EPOCH)
    if structure.table.order != "strict" or epoch is None or epoch.dims or epoch.type != "CDF_TIME_TT2000":
        return
    if number := repeats(file, epoch):
        what = f"{number} times repeat the one before, and {structure.table.address} has one row to a time"
        yield error("M10", EPOCH, what, "Correct the transform, or set order: nondecreasing of the table")


def _variables(file: CdfReader, structure: Structure) -> Findings:
    wanted, found = [variable.spec.name for variable in structure.variables], list(file.variables)
    for name in (name for name in wanted if name not in found):
        yield error("M01", name, "is missing", EXPORT)
    for name in (name for name in found if name not in wanted):
        yield error("M01", name, "is no variable of the dataset", EXPORT)
    common = [name for name in found if name in wanted]
    in_order = [name for name in wanted if name in found]
    moved = next((pair for pair in zip(common, in_order, strict=True) if pair[0] != pair[1]), None)
    if moved:
        yield error("M01", moved[0], f"stands where {moved[1]} has its place", EXPORT)


def _form(found: VariableInfo, spec: VariableSpec) -> Findings:
    pairs = (
        ("type", found.type, spec.type),
        ("dimensions", found.dims, spec.dims),
        ("elements", found.elements, spec.elements),
        ("record variance", found.record_variance, spec.record_variance),
        ("variance by dimension", found.dim_variances, (True,) * len(spec.dims)),
    )
    for what, is_, wanted in pairs:
        if is_ != wanted:
            yield error("M02", spec.name, f"its {what} is {is_}, the dataset's {wanted}", EXPORT)
    if found.compression != spec.compression:
        what = f"its gzip level is {found.compression}, the dataset's {spec.compression}"
        yield error("M08", spec.name, what, EXPORT)
    elif found.block_records != (block := spec.block_records if spec.compression else 1):
        yield error("M08", spec.name, f"its blocks have {found.block_records} records, the dataset's {block}", EXPORT)
    if found.type == spec.type and found.pad != (pad := default_pad(spec.type, spec.elements)):
        yield error("M09", spec.name, f"its pad value is {found.pad!r}, the dataset's {pad!r}", EXPORT)


def _attributes(found: VariableInfo, spec: VariableSpec) -> Findings:
    wanted = {attribute.name: attribute for attribute in spec.attributes}
    for name in (name for name in wanted if name not in found.attributes):
        yield error("M03", spec.name, f"its {name} is missing", EXPORT)
    for name, entry in found.attributes.items():
        if name not in wanted:
            yield error("M03", spec.name, f"its {name} is no attribute of it in the dataset", EXPORT)
        elif not _equal(entry, spec, wanted[name]):
            what = (
                f"its {name} is {entry.type} {entry.value!r}, the dataset's {wanted[name].type} {wanted[name].value!r}"
            )
            yield error("M04", spec.name, what, EXPORT)


def _equal(entry: Entry, spec: VariableSpec, attribute: Attribute) -> bool:
    if entry.type != attribute.type:
        return False
    if isinstance(attribute.value, str):
        return isinstance(entry.value, str) and plain(entry.value) == plain(attribute.value)
    return list(entry.value) == numbers(spec, attribute)


def _globals(file: CdfReader, structure: Structure, free: Sequence[str]) -> Findings:
    wanted = dict(structure.global_attributes)
    for name in (name for name in wanted if name not in file.globals):
        yield error("M05", name, "is missing", EXPORT)
    for name, entries in file.globals.items():
        if [entry.number for entry in entries] != list(range(len(entries))):
            yield error("M05", name, f"its entries have the numbers {[entry.number for entry in entries]}", EXPORT)
        if other := next((entry.type for entry in entries if entry.type != "CDF_CHAR"), None):
            yield error("M06", name, f"has an entry of {other}, the dataset has CDF_CHAR", EXPORT)
        if name in free:
            continue
        if name not in wanted:
            yield error("M05", name, "is no global attribute of the dataset", EXPORT)
        elif (found := _texts(entries)) != tuple(plain(text) for text in wanted[name]):
            yield error("M06", name, f"is {found}, the dataset's {wanted[name]}", EXPORT)


def _declared(file: CdfReader, structure: Structure) -> Findings:
    """Attributes that no variable has, and the order of the others: by it, readers list them."""
    for attribute in (attribute for attribute in file.attributes if not attribute.entries):
        rule = "M05" if attribute.is_global else "M03"
        yield error(rule, attribute.name, "is declared and has no entry", EXPORT)
    of_variables = [a.name for variable in structure.variables for a in variable.spec.attributes]
    wanted = list(dict.fromkeys((*(name for name, _ in structure.global_attributes), *of_variables)))
    found = [attribute.name for attribute in file.attributes if attribute.name in wanted]
    in_order = [name for name in wanted if name in found]
    moved = next((pair for pair in zip(found, in_order, strict=False) if pair[0] != pair[1]), None)
    if moved:
        rule = "M03" if moved[0] in of_variables else "M05"
        yield error(rule, moved[0], f"stands where {moved[1]} has its place", EXPORT)


def _texts(entries: tuple[Entry, ...]) -> tuple[str, ...]:
    return tuple(plain(entry.value) if isinstance(entry.value, str) else str(entry.value) for entry in entries)


def _constant(file: CdfReader, found: VariableInfo, variable: Variable) -> Findings:
    if (found.type, found.dims, found.elements) != (variable.spec.type, variable.spec.dims, variable.spec.elements):
        return  # M02 says so
    values, wanted = file.values(found.name), variable.constant()
    if not np.array_equal(values, wanted):
        place = int((values != wanted).ravel().argmax()) if values.shape == wanted.shape else 0
        what = f"its values differ from the dataset's, first in cell {place}"
        yield error("M07", found.name, what, "Give values that change with time in a dated calibration")
