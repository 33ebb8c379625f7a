# SPDX-License-Identifier: Apache-2.0
"""Who gets which products: the nouns of `delivery.toml`, and reading it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Literal, cast

from pydantic import AfterValidator, Field, model_validator

from exports.istp.globals import logical_source
from lake.definitions import Definitions, Table
from lake.errors import ConfigurationError
from lake.setting_files import OfLake, Setting, near, placed_lake, read_setting_file
from lake.ways.settings import AnyWay, FolderWay, HttpsWay, S3Way, SftpWay

PLACE = "the settings of delivery"  # as long as nobody says which file they come from
WAYS = ("folder", "s3", "sftp", "https")
VERSION = re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*)){0,2}")
MOST_DAYS = 36525  # a century; more is a slip of the pen

Layout = Literal["spdf", "lake", "swxsoc"]
Format = Literal["cdf", "fits"]


def _version(text: str) -> str:
    if not VERSION.fullmatch(text):
        raise ValueError('is no version; write X, X.Y or X.Y.Z, as in "1.0"')
    return text


def _not_empty(values: tuple[str, ...]) -> tuple[str, ...]:
    """The same values; none at all would be taken for all by one reader and for nothing by another."""
    if not values:
        raise ValueError("is empty; name what is meant, or remove the key, which means all that there is")
    return values


class Selected(Setting):
    """Products by patterns with * and ?, of their address (`padre.craft_l1_*`) or dataset (`padre_craft_l1-*`)."""

    products: tuple[str, ...] = Field(min_length=1)

    def fits(self, names: Iterable[str]) -> bool:
        """Whether a pattern fits one of the names of a product."""
        return _any_fits(names, self.products)


Names = Annotated[tuple[str, ...], AfterValidator(_not_empty)]


class Send(Setting):
    """Files that a recipient gets; what is left out fits all. `first` and `last` are days of the data, both included.

    `versions`: the newest of each product-day alone, or each one that was published.
    """

    missions: Names = ()
    instruments: Names = ()
    levels: Names = ()
    products: Names = ()
    formats: tuple[Format, ...] = Field(default=("cdf",), min_length=1)
    min_version: Annotated[str, AfterValidator(_version)] = "0.0.0"
    versions: Literal["latest", "all"] = "latest"
    first: date | None = Field(default=None, alias="from")
    last: date | None = Field(default=None, alias="to")

    @model_validator(mode="after")
    def _ordered(self) -> Send:
        if self.first and self.last and self.first > self.last:
            raise ValueError("has its `from` after its `to`; swap them or correct one")
        return self

    @property
    def least(self) -> tuple[int, int, int]:
        """`min_version` as numbers."""
        numbers = [*(int(part) for part in self.min_version.split(".")), 0, 0]
        return numbers[0], numbers[1], numbers[2]

    def fits(self, table: Table, names: Iterable[str]) -> bool:
        """Whether the rule is about the product of a table, which has these names."""
        facts = ((self.missions, table.mission), (self.instruments, table.instrument), (self.levels, table.level))
        plain = all(not wanted or fact in wanted for wanted, fact in facts)
        return plain and (not self.products or _any_fits(names, self.products))


class Embargo(Selected):
    """Products that no public recipient gets until a date, or until so many days after the day of the data."""

    until: date | None = None
    days: int | None = Field(default=None, gt=0, le=MOST_DAYS)
    why: str = Field(min_length=1)

    @model_validator(mode="after")
    def _is_one_thing(self) -> Embargo:
        if (self.until is None) == (self.days is None):
            raise ValueError("needs either `until` or `days`; give one of them")
        return self

    @property
    def words(self) -> str:
        """The reason why something is held back."""
        until = f"until {self.until}" if self.until else f"for {self.days} days after the day of the data"
        return f"is embargoed {until}: {self.why}"


class Approval(Selected):
    """Products of which no public recipient gets a file before somebody has approved it."""

    why: str = ""


class Recipient(Setting):
    """Who gets files, and how; exactly one of `folder`, `s3`, `sftp`, `https` says where.

    layout : how paths are made. "spdf" is <mission>/<instrument>/<dataset>/<yyyy>/, "lake" the keys in the lake,
        "swxsoc" the reference's archive keys.
    visibility : "public" holds back what is embargoed or waits for approval; "team" does not.
    assumed : a team also gets products that rest on assumptions or were not measured in flight.
    pull : others fetch from it; it has a catalogue.
    remove_withdrawn : files that are withdrawn are removed there, too.
    """

    folder: FolderWay | None = None
    s3: S3Way | None = None
    sftp: SftpWay | None = None
    https: HttpsWay | None = None
    layout: Layout = "spdf"
    visibility: Literal["public", "team"] = "public"
    assumed: bool = False
    pull: bool = False
    remove_withdrawn: bool = False
    send: tuple[Send, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _is_consistent(self) -> Recipient:
        given = [name for name in WAYS if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"has {' and '.join(given) or 'no way'}; give one of {', '.join(WAYS)}")
        if self.pull and given[0] not in ("folder", "s3"):
            raise ValueError(f"is a tree to pull from behind {given[0]}; remove `pull`, or give folder or s3")
        if self.assumed and self.visibility == "public":
            raise ValueError("is public and takes what is assumed; remove `assumed`, or write visibility = 'team'")
        return self

    @property
    def way(self) -> AnyWay:
        """Where it is."""
        return cast("AnyWay", next(way for name in WAYS if (way := getattr(self, name)) is not None))

    def placed(self, folder: Path) -> Recipient:
        """The same with relative paths of its way taken from `folder`."""
        name = next(name for name in WAYS if getattr(self, name) is not None)
        return self.model_copy(update={name: self.way.placed(folder)})


class DeliverySettings(OfLake):
    """All of `delivery.toml`; without one nothing leaves the lake.

    lake : the one that the settings are of, a folder or s3://bucket/prefix. From no other one, such as a copy or a
        demonstration, is anything sent by them.
    """

    recipients: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*$")], Recipient] = Field(default_factory=dict)
    embargo: tuple[Embargo, ...] = ()
    approval: tuple[Approval, ...] = ()


def read_delivery_settings(path: Path) -> DeliverySettings:
    """The settings in a TOML file, paths in it taken from its folder.

    Raises ConfigurationError: file, key, what is wrong, what to do.
    """
    settings = read_setting_file(path, DeliverySettings, "SWXLAKE_DELIVERY")
    placed = {name: recipient.placed(path.parent) for name, recipient in settings.recipients.items()}
    lake = placed_lake(settings, path.parent)
    return settings.model_copy(update={"recipients": placed, "lake": lake})


def product_names(definitions: Definitions) -> dict[str, tuple[str, str]]:
    """The two names of each product that is defined, address and dataset, by address."""
    tables = [
        definitions.tables[f"{m.name}.{p.table}"]
        for m in definitions.missions
        for i in m.instruments
        for p in i.products
    ]
    return {t.address: (t.address, logical_source(t, definitions.instrument(t))) for t in tables}


def check_delivery_settings(settings: DeliverySettings, definitions: Definitions, place: Path | str = PLACE) -> None:
    """Raises ConfigurationError for a rule that fits no product of the definitions; `place` is the file."""
    names = product_names(definitions)
    for recipient, facts in settings.recipients.items():
        for number, rule in enumerate(facts.send):
            _check_send(f"{place} (recipients.{recipient}.send.{number}", rule, definitions, names)
    rules = (("embargo", settings.embargo), ("approval", settings.approval))
    for part, number, selected in ((part, n, rule) for part, given in rules for n, rule in enumerate(given)):
        _check_patterns(f"{place} ({part}.{number}", selected.products, names)


def _check_send(where: str, rule: Send, definitions: Definitions, names: dict[str, tuple[str, str]]) -> None:
    tables = [definitions.tables[address] for address in names]
    parts = (
        ("missions", rule.missions, {m.name for m in definitions.missions}),
        ("instruments", rule.instruments, {i.name for m in definitions.missions for i in m.instruments}),
        ("levels", rule.levels, {table.level for table in tables}),
    )
    for key, given, known in parts:
        for name in given:
            if name not in known:
                raise ConfigurationError(f"{where}.{key}): no product is of {name!r}{near(name, known)}")
    _check_patterns(where, rule.products, names)
    missions = {table.mission for table in tables if rule.fits(table, names[table.address])}
    if not missions:
        raise ConfigurationError(f"{where}): its conditions together fit no product. Remove the one that is too much.")
    published = {form for mission in missions for form in definitions.mission(mission).formats}
    for form in rule.formats:
        if form not in published:
            raise ConfigurationError(
                f"{where}.formats): none of its products is published as {form!r}{near(form, published)}"
            )


def _check_patterns(where: str, patterns: Iterable[str], names: dict[str, tuple[str, str]]) -> None:
    for pattern in patterns:
        if not any(_any_fits(pair, (pattern,)) for pair in names.values()):
            known = near(pattern, [name for pair in names.values() for name in pair])
            raise ConfigurationError(f"{where}.products): no product fits {pattern!r}{known}")


def _any_fits(names: Iterable[str], patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for name in names for pattern in patterns)
