# SPDX-License-Identifier: Apache-2.0
"""Reading the CDFs: find the newest products, open them with cdflib, pyspedas and sunpy, compare them with SQL."""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="Reading the CDFs")

with app.setup:
    import atexit
    import os
    import tempfile
    from importlib.util import find_spec
    from pathlib import Path

    import cdflib
    import marimo as mo
    import matplotlib.pyplot as plt
    import numpy as np
    import polars as pl
    from lake.catalog import connect
    from lake.products import fetch, find

    FOLDER = Path(__file__).parent
    plt.style.use(FOLDER / "style.mplstyle")


@app.cell(hide_code=True)
def _():
    mo.md("""
    # Reading the CDFs

    Tables are for questions, CDF files are for the archive and for the tools of the field. They hold the same
    numbers. Each product is one file a day, follows the ISTP guidelines, and carries its axes, units, fill values
    and history.
    """)
    return


@app.cell
def _():
    root = os.environ.get("SWXLAKE_ROOT") or FOLDER.parent / "demo" / "lakehouse"
    lake = connect(root)
    copies = tempfile.TemporaryDirectory(prefix="swxlake-")  # name a folder of yours to keep them
    atexit.register(copies.cleanup)
    return copies, lake, root


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## Find products

    `find` gives the newest version of each product-day, by name, by day, or by the time when it was made: ask with
    the `created_at` of the last one you have as `since`, and only what is new comes. `fetch` makes a copy and
    checks its hash; the lake may be in a bucket.
    """)
    return


@app.cell
def _(lake):
    products = find(lake)
    pl.DataFrame(
        [
            {"product": p.product, "day": p.day, "version": p.version, "records": p.records, "made": p.created_at}
            for p in products
        ]
    )
    return (products,)


@app.cell
def _(copies, lake, root):
    _light_curves = find(lake, "padre.meddea_ql_lightcurve")
    mo.stop(not _light_curves, mo.md("**There is no light curve among the products of this lake.**"))
    light_curve = max(_light_curves, key=lambda product: product.day)
    path = fetch(light_curve, Path(copies.name), root)
    return light_curve, path


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## With cdflib

    The variables, their units, and what they depend on. `Epoch` is TT2000: nanoseconds, leap seconds counted, so
    that no two moments have one name.
    """)
    return


@app.cell
def _(path):
    cdf = cdflib.CDF(path)
    variables = pl.DataFrame(
        [
            {
                "variable": name,
                "unit": a.get("UNITS"),
                "depends on": a.get("DEPEND_0"),
                "type": a.get("VAR_TYPE"),
                "meaning": a.get("CATDESC"),
            }
            for name in cdf.cdf_info().zVariables
            for a in [cdf.varattsget(name)]
        ]
    )
    variables
    return cdf, variables


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## The same numbers as in SQL

    Not nearly the same: the same bits. A fill value in the file is a null in the table.
    """)
    return


@app.cell
def _(cdf, lake, light_curve):
    rows = lake.sql(
        "SELECT epoch_tt2000, rate_5_10_kev FROM padre.meddea_ql_lightcurve WHERE day = $day ORDER BY epoch_tt2000",
        params={"day": light_curve.day},
    ).pl()
    _filed = cdf.varget("rate_5_10_kev")
    _filed = np.where(_filed == cdf.varattsget("rate_5_10_kev")["FILLVAL"], np.nan, _filed)
    same_times = bool(np.array_equal(cdf.varget("Epoch"), rows["epoch_tt2000"].to_numpy()))
    same_values = bool(np.array_equal(_filed, rows["rate_5_10_kev"].to_numpy(), equal_nan=True))
    mo.md(f"{len(rows)} records. Times are the same: **{same_times}**. Rates are the same: **{same_values}**.")
    return rows, same_times, same_values


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## With pyspedas

    `cdf_to_tplot` makes a tplot variable of each data variable, with its axes. pyspedas comes with `make setup`.
    """)
    return


@app.cell
def _(path):
    from pyspedas import cdf_to_tplot, get_data  # noqa: PLC0415  takes seconds to import

    loaded = cdf_to_tplot(str(path))
    _rate = get_data("rate_5_10_kev")
    tplot_unit = get_data("rate_5_10_kev", metadata=True)["CDF"]["VATT"]["UNITS"]
    tplot_values = _rate.y
    _figure, _axis = plt.subplots(figsize=(9, 3))
    _axis.plot(_rate.times.astype("datetime64[s]"), tplot_values)
    _axis.set(yscale="log", xlabel="UTC", ylabel=tplot_unit, title="rate_5_10_kev, as pyspedas read it")
    _figure
    return loaded, tplot_unit, tplot_values


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## With sunpy

    A `TimeSeries` of the same file: a table with units from the file's attributes, for all that sunpy and astropy
    can do.
    """)
    return


@app.cell
def _(path):
    mo.stop(
        find_spec("mpl_animators") is None or find_spec("h5netcdf") is None,
        mo.md("sunpy's time series need `pip install 'sunpy[timeseries,visualization]'`."),
    )
    from sunpy.timeseries import TimeSeries  # noqa: PLC0415  may not be there

    series = TimeSeries(str(path))
    peak = series.to_dataframe()["rate_5_10_kev"].idxmax()
    mo.md(
        f"{len(series.columns)} columns; rates in **{series.units['rate_5_10_kev']}**;"
        f" brightest at **{peak:%Y-%m-%d %H:%M:%S}** UTC."
    )
    return (series,)


if __name__ == "__main__":
    app.run()
