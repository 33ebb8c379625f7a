# SPDX-License-Identifier: Apache-2.0
"""What a tree has for those who pull from it: lists of its files, a readme and a master for each dataset.

`catalogue/files.csv` and `.json` list all files, `catalogue/latest.csv` the newest version of each product-day. They
follow from the ledger and the definitions, so that the same state has the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from textwrap import fill

import polars as pl

from exports.delivery.manifest import PRODUCT_DAY, utc_text
from exports.delivery.selection import folder, version_number
from exports.delivery.settings import Recipient, product_names
from lake.clock import tt2000_from_unix_ns, unix_ns_from_tt2000
from lake.definitions import Definitions, Product

COLUMNS = (
    "path", "dataset", "product", "day", "version", "format", "bytes", "sha256", "records", "first_epoch_tt2000",
    "first_epoch_utc", "last_epoch_tt2000", "last_epoch_utc", "delivered_at",
)  # fmt: skip
EPOCHS = ("first_epoch_tt2000", "last_epoch_tt2000")
WIDTH = 100  # columns of a readme
README = """\
{title}

{text}

dataset      {dataset}
table        {product}
one file     one UTC day; yyyy/{dataset}_yyyymmdd_vX.Y.Z.cdf
versions     X rises with the structure, Y with the algorithm or a calibration, Z with the data. No file is ever
             changed: a change is a new version.
lists        {up}catalogue/files.csv has all files with their sha256, {up}catalogue/latest.csv the newest versions,
             {up}changes.jsonl what came, was superseded or withdrawn, and when.
"""


def listing(stands: pl.DataFrame, files: pl.DataFrame) -> pl.DataFrame:
    """The files that a recipient has, by path, from how they stand there and what the lake knows of them."""
    keys = ["product", "day", "version", "format"]
    held = stands.filter("held").join(files.select(*keys, "records", *EPOCHS), on=keys, how="left")
    times = {name.replace("tt2000", "utc"): _utc(held[name]) for name in EPOCHS}
    return held.with_columns(**times, delivered_at=_second("delivered_at")).select(COLUMNS).sort("path")


def _utc(tt2000: pl.Series) -> pl.Series:
    """Times as text: all at once, and by themselves the few that are within a leap second, which Unix time has not."""
    known = tt2000.drop_nulls().unique()
    unix = unix_ns_from_tt2000(known.to_numpy())
    text = dict(zip(known, pl.Series(unix).cast(pl.Datetime("ns")).dt.strftime("%Y-%m-%dT%H:%M:%S.%9fZ"), strict=True))
    for within in known.filter(pl.Series(tt2000_from_unix_ns(unix)) != known):
        text[within] = utc_text(within) or ""
    return tt2000.replace_strict(text, default=None, return_dtype=pl.String)


def _second(name: str) -> pl.Expr:
    return pl.col(name).dt.strftime("%Y-%m-%dT%H:%M:%SZ")


def latest(listed: pl.DataFrame, stands: pl.DataFrame) -> pl.DataFrame:
    """The newest version of each product-day; none of a day of which the newest was withdrawn."""
    ever = stands.filter(pl.col("delivered_at").is_not_null()).with_columns(number=version_number())
    newest = ever.filter(pl.col("number") == pl.col("number").max().over(PRODUCT_DAY))
    return listed.join(newest, on="path", how="semi", maintain_order="left")


def lists(stands: pl.DataFrame, files: pl.DataFrame) -> Iterator[tuple[str, bytes]]:
    """The lists of a tree: path and bytes."""
    listed = listing(stands, files)
    yield "catalogue/files.csv", listed.write_csv().encode()
    yield "catalogue/files.json", json.dumps(listed.to_dicts(), indent=1, default=str).encode() + b"\n"
    yield "catalogue/latest.csv", latest(listed, stands).write_csv().encode()


def readmes(recipient: Recipient, definitions: Definitions, products: list[str]) -> Iterator[tuple[str, bytes]]:
    """A readme for the folder of each dataset, where the layout gives datasets folders of their own."""
    if recipient.layout != "spdf":
        return
    for address in products:
        place = folder(recipient.layout, definitions, address)
        yield f"{place}/00readme.txt", _readme(definitions, address, "../" * (place.count("/") + 1)).encode()


def masters(definitions: Definitions, products: list[str], scratch: Path) -> Iterator[tuple[str, bytes]]:
    """Master CDF, skeleton and SPASE record of each dataset. Raises TemplateError if a definition makes no dataset."""
    # Loading the CDF library takes half a second, which a run without news should not cost.
    from exports.datasets.dataset import dataset  # noqa: PLC0415
    from exports.datasets.master import master_name, write_master  # noqa: PLC0415
    from exports.datasets.skeleton import skeleton  # noqa: PLC0415
    from exports.datasets.spase import spase_record  # noqa: PLC0415

    for address in products:
        found = dataset(definitions, _product(definitions, address))
        master, stem = write_master(found, scratch), f"masters/{master_name(found)}"
        yield f"{stem}.cdf", master.read_bytes()
        yield f"{stem}.skt", skeleton(found).encode()
        yield f"masters/{found.name}.xml", spase_record(found).encode()


def _product(definitions: Definitions, address: str) -> Product:
    table = definitions.tables[address]
    return next(product for product in definitions.instrument(table).products if product.table == table.name)


def _readme(definitions: Definitions, address: str, up: str) -> str:
    product = _product(definitions, address)
    text = "\n\n".join(fill(" ".join(part.split()), WIDTH) for part in product.text.split("\n\n"))
    dataset = product_names(definitions)[address][1]
    return README.format(title=product.title, text=text, dataset=dataset, product=address, up=up)
