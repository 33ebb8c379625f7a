# SPDX-License-Identifier: Apache-2.0
"""First queries: what is in the lake, what a column means, a light curve, and where a number comes from."""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="First queries")

with app.setup:
    import os
    from pathlib import Path

    import marimo as mo
    import matplotlib.pyplot as plt
    from lake.catalog import connect

    FOLDER = Path(__file__).parent
    plt.style.use(FOLDER / "style.mplstyle")


@app.cell(hide_code=True)
def _():
    mo.md("""
    # First queries

    A lake is a folder, or a prefix in a bucket. `connect` opens it read-only; what comes back is a DuckDB
    connection, and every table of every instrument is a view in it. `SWXLAKE_ROOT` says which lake; without it this
    is the one that `make demo` makes.
    """)
    return


@app.cell
def _():
    root = os.environ.get("SWXLAKE_ROOT") or FOLDER.parent / "demo" / "lakehouse"
    lake = connect(root)
    return (lake,)


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## What is there

    Tables are named `mission.instrument_level_name`. `l0` is what was sent, `l1` is in physical units and has each
    packet once, `l2` and `l3` are what the instrument measured of the world, `ql` is for a first look. `ops` is
    about the lake itself: files, runs, checks, alerts, products.
    """)
    return


@app.cell
def _(lake):
    tables = mo.sql(
        """
        SELECT
            d.table_name,
            count(*) AS days,
            min(d.day) AS first_day,
            max(d.day) AS last_day,
            any_value(v.comment) AS what
        FROM ops.table_days AS d
        INNER JOIN duckdb_views() AS v ON d.table_name = v.schema_name || '.' || v.view_name
        GROUP BY d.table_name
        ORDER BY d.table_name
        """,
        engine=lake,
    )
    return (tables,)


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## What a column means

    Units and meanings are comments of the columns. They come from the same definitions as the attributes of the CDF
    files.
    """)
    return


@app.cell
def _(lake):
    columns = mo.sql(
        """
        SELECT column_name, data_type, comment
        FROM duckdb_columns()
        WHERE schema_name = 'padre' AND table_name = 'meddea_ql_lightcurve'
        ORDER BY column_index
        """,
        engine=lake,
    )
    return (columns,)


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## A light curve

    Count rates of the X-ray Sun, in minutes. `quality_flag = 0` means that there is nothing to say about a row;
    `padre.meddea_flags` has the meaning of each bit. A filter on `day` reads only the files of these days.
    """)
    return


@app.cell
def _(lake):
    rates = mo.sql(
        """
        SELECT
            date_trunc('minute', time) AS minute,
            avg(rate_5_10_kev) AS "5-10 keV",
            avg(rate_10_15_kev) AS "10-15 keV",
            avg(rate_15_25_kev) AS "15-25 keV"
        FROM padre.meddea_ql_lightcurve
        WHERE
            day = (SELECT max(day) FROM ops.table_days WHERE table_name = 'padre.meddea_ql_lightcurve')
            AND quality_flag = 0
        GROUP BY minute
        ORDER BY minute
        """,
        engine=lake,
    )
    return (rates,)


@app.cell
def _(rates):
    figure, axis = plt.subplots()
    for band in rates.columns[1:]:
        axis.plot(rates["minute"], rates[band], label=band)
    axis.set(yscale="log", xlabel="UTC", ylabel="count/s", title="MeDDEA, one-minute means")
    axis.legend(ncols=3)
    figure
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## Where a number comes from

    Every table-day can be followed back to the raw files and their bytes. Here: the files behind that light curve,
    with how many of their bytes were decoded. The two counts add up to the size of the file, always.
    """)
    return


@app.cell
def _(lake):
    files = mo.sql(
        """
        SELECT DISTINCT f.name, f.received_at, f.bytes, f.bytes_decoded, f.bytes_quarantined
        FROM ops.lineage AS l
        INNER JOIN ops.files AS f ON l.ancestor_sha256 = f.file_sha256
        WHERE
            l.descendant = 'padre.meddea_ql_lightcurve'
            AND l.ancestor_kind = 'raw file'
            AND l.day = (SELECT max(day) FROM ops.table_days WHERE table_name = 'padre.meddea_ql_lightcurve')
        ORDER BY f.name
        """,
        engine=lake,
    )
    return (files,)


@app.cell(hide_code=True)
def _():
    mo.md("""
    More questions with their answers are in `sql/queries`; `make sql` opens a shell on the same lake.
    """)
    return


if __name__ == "__main__":
    app.run()
