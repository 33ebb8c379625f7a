# SPDX-License-Identifier: Apache-2.0
"""Products: what there is of each, and its days. The page of one day is in product_days.py."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import date

from lake.definitions import Product, Table
from monitor.site import places
from monitor.site.facts import Facts
from monitor.site.figures import figures
from monitor.site.filters import number, size, utc
from monitor.site.judged import Judged
from monitor.site.page import Page
from monitor.site.product_days import Books, day_page, delivered_to, read_books
from monitor.site.sections import Cell, amount, equal, link, mark, record, section, select, told

AMISS = ("refused", "blocked", "failed", "stale", "withheld", "warn")  # states of product-days that want a look


def parts(facts: Facts) -> Iterator[Page]:
    """The list of products, the days of each, and each day."""
    books, defined = read_books(facts), _defined(facts)
    days = _days(books, defined)
    yield _index(facts, days, books, defined)
    for address, its_days in days.items():
        yield _product(facts, books, address, its_days, defined.get(address))
        exported = [day for day in its_days if (address, day) in books.versions]
        for place in range(len(exported)):
            yield day_page(facts, books, address, exported, place)


def _defined(facts: Facts) -> dict[str, Product]:
    return {
        f"{mission.name}.{product.table}": product
        for mission in facts.definitions.missions
        for instrument in mission.instruments
        for product in instrument.products
    }


def _days(books: Books, defined: Mapping[str, Product]) -> dict[str, list[date]]:
    """The days on which there is a product, or rows that one could be made of, or that failed; none without any."""
    found = defaultdict[str, list[date]](list, {address: [] for address in defined})
    for address, day in books.standings:
        found[address].append(day)
    return {address: sorted(days) for address, days in sorted(found.items())}


def _index(facts: Facts, days: Mapping[str, Sequence[date]], books: Books, defined: Mapping[str, Product]) -> Page:
    columns = ("product", "what", "days", "exported", "amiss", "newest day", "version", "deliverable", "delivered")
    rows = [_listed(address, its_days, books, defined.get(address)) for address, its_days in days.items()]
    exported, could, known = len(books.versions), len(books.standings), figures(facts)
    passing = f"{number(known.products_passed)} of {number(known.products)} of the window"
    sums = "product, count(*) AS days, max(day) AS newest_day, sum(bytes) AS bytes"
    query = select(sums, "ops.latest_products GROUP BY product", order="product")
    return record(
        places.PRODUCTS,
        "Products",
        [
            ("products that pass", link(passing, places.CHECKS)),
            ("product-days exported", f"{exported:,} of {could:,} of all days"),
            ("size of the newest versions", size(sum(rows[0]["bytes"] for rows in books.versions.values()))),
        ],
        [section("Products", columns, rows, query=query, finder="products", none="No product is defined.")],
        lead="A product is a CDF file of one table and one UTC day. A change is a new version; none is overwritten.",
    )


def _listed(address: str, days: Sequence[date], books: Books, product: Product | None) -> tuple[Cell, ...]:
    exported = [day for day in days if (address, day) in books.versions]
    if not exported:
        nothing: tuple[Cell, ...] = ("-", "-", "-", "-")
        numbers = amount(number(len(days))), amount("0"), _amiss(address, days, books)
        return (link(address, places.products(address)), _title(product), *numbers, *nothing)
    newest = books.versions[address, exported[-1]][0]
    return (
        link(address, places.products(address)),
        _title(product),
        amount(number(len(days))),
        amount(number(len(exported))),
        _amiss(address, days, books),
        link(f"{exported[-1]:%Y-%m-%d}", places.product(address, exported[-1])),
        newest["version"],
        _deliverable(newest["deliverable"]),
        delivered_to(books.deliveries.get((address, exported[-1]), []), newest["version"]),
    )


def _amiss(address: str, days: Sequence[date], books: Books) -> Cell:
    """The days that do not stand as they should, counted by word."""
    found = [books.standings[address, day] for day in days]
    counts = Counter("old rows" if one.word == "exported" else one.word for one in found if one.state in AMISS)
    worst = "fail" if counts.keys() & {"refused", "failed"} else "warn"
    words = ", ".join(f"{count} {word}" for word, count in sorted(counts.items()))
    return mark(words, worst, places.products(address)) if words else "-"


def _title(product: Product | None) -> str:
    return product.title if product else "no more defined"


def _deliverable(value: bool | None) -> Cell:
    if value is None:
        return "not noted"
    return mark("yes", "ok") if value else mark("no", "none")


def _product(facts: Facts, books: Books, address: str, days: Sequence[date], product: Product | None) -> Page:
    columns = ("day", "state", "why", "version", "records", "size", "checks", "deliverable", "delivered", "made")
    rows = [_day(books, address, day) for day in reversed(days)]
    about = equal(product=address)
    query = select("* EXCLUDE (made_from, parents)", "ops.latest_products", about, order="day")
    return record(
        places.products(address),
        address,
        _pairs(facts, address, facts.definitions.tables.get(address), product),
        [section("Days", columns, rows, query=query, finder="days", none="There is no day of it yet.")],
        trail=[link("Products", places.PRODUCTS)],
        lead=" ".join(product.text.split()) if product else "",
    )


def _pairs(facts: Facts, address: str, table: Table | None, product: Product | None) -> list[tuple[str, Cell]]:
    if product is None or table is None:
        return [("definition", "missions/ defines this product no more")]
    instrument = facts.definitions.instrument(table)
    return [
        ("product", product.title),
        ("table", link(address, places.table(address))),
        ("instrument", link(f"{table.mission}/{table.instrument}", places.instrument(table.mission, table.instrument))),
        ("status of the instrument", mark(instrument.status, instrument.status)),
        ("time resolution", product.time_resolution),
        ("least version", f"{product.version}.0"),
        ("DOI", product.doi or "none yet"),
        ("SPASE", product.spase_id or "none yet"),
    ]


def _day(books: Books, address: str, day: date) -> tuple[Cell, ...]:
    checks, (word, state, why) = books.judged.get((address, day), Judged()), books.standings[address, day]
    stands = mark(word, state), told(why, 240)
    if (address, day) not in books.versions:
        return (f"{day:%Y-%m-%d}", *stands, "-", "-", "-", checks.cell(), "-", "-", "-")
    row = books.versions[address, day][0]
    return (
        link(f"{day:%Y-%m-%d}", places.product(address, day)),
        *stands,
        row["version"],
        amount(number(row["records"])),
        amount(size(row["bytes"])),
        checks.cell(),
        _deliverable(row["deliverable"]),
        delivered_to(books.deliveries.get((address, day), []), row["version"]),
        utc(row["published_at"]),
    )
