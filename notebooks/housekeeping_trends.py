# SPDX-License-Identifier: Apache-2.0
"""Housekeeping trends: envelopes that keep a spike, limits, anomalies, and what an orbit does to an instrument."""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="Housekeeping trends")

with app.setup:
    import os
    from operator import itemgetter
    from pathlib import Path

    import marimo as mo
    import matplotlib.pyplot as plt
    import numpy as np
    import polars as pl
    from lake.catalog import connect
    from lake.config import read_settings
    from lake.definition_files import read_definitions

    FOLDER = Path(__file__).parent
    plt.style.use(FOLDER / "style.mplstyle")
    TABLE = "padre.meddea_l1_housekeeping"
    BUCKETS = {"1 minute": "1m", "10 minutes": "10m", "1 hour": "1h", "1 day": "1d"}  # as SQL and as polars say it


@app.cell(hide_code=True)
def _():
    mo.md("""
    # Housekeeping trends

    An instrument tells of itself every few seconds: temperatures, voltages, currents, counters. Three questions
    come back each week. Is anything near its limits? Is anything drifting? And was that spike real?
    """)
    return


@app.cell
def _():
    root = os.environ.get("SWXLAKE_ROOT") or FOLDER.parent / "demo" / "lakehouse"
    lake, definitions = connect(root), read_definitions(read_settings().missions)
    return definitions, lake


@app.cell
def _(lake):
    mo.stop(not lake.sql(f"FROM {TABLE} LIMIT 1").fetchall(), mo.md(f"**{TABLE} has no rows in this lake.**"))
    _columns = lake.sql(
        """
        SELECT column_name, comment FROM duckdb_columns()
        WHERE schema_name || '.' || table_name = $table AND data_type = 'DOUBLE'
        ORDER BY column_index
        """,
        params={"table": TABLE},
    )
    channels = dict(_columns.fetchall())
    return (channels,)


@app.cell
def _(channels):
    channel = mo.ui.dropdown(list(channels), value="dib_temp_degc", label="Channel")
    bucket = mo.ui.dropdown(list(BUCKETS), value="10 minutes", label="Envelope")
    mo.hstack([channel, bucket], justify="start")
    return bucket, channel


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## An envelope

    A month has a quarter of a million samples, a picture has a thousand columns. A mean in each column would hide a
    spike of a single sample; the **smallest and the largest** value in each bucket never do. The band is from one
    to the other, the line is the mean, and a bucket without samples stays empty. Red lines are limits, orange ones
    ask to look.
    """)
    return


@app.function
def envelope(lake, table: str, column: str, bucket: str) -> pl.DataFrame:
    """Smallest, mean and largest value of a column and their number, one row to a bucket of time with any."""
    return lake.sql(
        f"""
        SELECT
            time_bucket(INTERVAL '{bucket}', time) AS start,
            min("{column}") AS low,
            avg("{column}") AS mean,
            max("{column}") AS high,
            count("{column}") AS samples
        FROM {table}
        WHERE "{column}" IS NOT NULL
        GROUP BY start
        ORDER BY start
        """  # noqa: S608  a table and a column of the definitions
    ).pl()


@app.function
def limits_of(definitions, table: str, column: str) -> list:
    """The limits of a column that hold in every mode, from limits.csv of its instrument."""
    mission, name = table.split(".")
    instrument = definitions.mission(mission).instrument(definitions.tables[table].instrument)
    return [each for each in instrument.limits if (each.table, each.column, each.when) == (name, column, None)]


@app.function
def labelled(definitions, table: str, column: str) -> str:
    """A column with its unit."""
    return f"{column} [{definitions.tables[table].by_name[column].unit or '1'}]"


@app.cell
def _(bucket, channel, channels, definitions, lake):
    trend = envelope(lake, TABLE, channel.value, bucket.value)
    limits = limits_of(definitions, TABLE, channel.value)
    _shown = trend.upsample(
        "start", every=BUCKETS[bucket.value]
    )  # a bucket without samples is a gap, not a line across
    _figure, _axis = plt.subplots()
    _axis.fill_between(
        _shown["start"], _shown["low"], _shown["high"], alpha=0.3, step="post", label="smallest to largest"
    )
    _axis.step(_shown["start"], _shown["mean"], where="post", label="mean")
    _room = 3 * (trend["high"].max() - trend["low"].min() or 1)
    for _limit in limits:
        for _end in (_limit.low, _limit.high):
            if trend["low"].min() - _room < _end < trend["high"].max() + _room:
                _axis.axhline(_end, color="#D55E00" if _limit.severity == "red" else "#E69F00", lw=1)
    _axis.set(xlabel="UTC", ylabel=labelled(definitions, TABLE, channel.value), title=channels[channel.value])
    _axis.legend(ncols=2)
    _figure
    return limits, trend


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## How near to the limits?

    For each channel: its extremes, and the smallest distance to a limit as a part of the range that is allowed.
    Below zero it was outside; below a tenth it is worth a look.
    """)
    return


@app.cell
def _(channels, definitions, lake):
    def _row(column):
        whole = envelope(lake, TABLE, column, "100 years")
        ends = [(each.low, each.high) for each in limits_of(definitions, TABLE, column)]
        if whole.is_empty() or not np.isfinite(ends).any():
            return None
        lowest, highest = whole["low"].min(), whole["high"].max()
        margin = min(min(lowest - low, high - highest) / (high - low) for low, high in ends)
        return {"channel": column, "lowest": lowest, "highest": highest, "margin": round(margin, 3)}

    margins = pl.DataFrame(sorted((row for row in map(_row, channels) if row), key=itemgetter("margin")))
    margins
    return (margins,)


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## What the lake noticed

    Every night each channel is compared with its limits and with its own past: spikes, steps, drifts, values that
    stand still, noise. What was not as usual is in `ops.anomalies`, with three numbers that explain it: the value,
    what was usual, and how many standard deviations lie between. An empty table is a quiet instrument.
    """)
    return


@app.cell
def _(lake):
    anomalies = mo.sql(
        """
        SELECT start_time, end_time, table_name, column_name, rule, severity, value, baseline, score, detail
        FROM ops.anomalies
        ORDER BY start_time DESC
        LIMIT 50
        """,
        engine=lake,
    )
    return (anomalies,)


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## What the orbit does

    In the sunlit part of an orbit the instrument warms, in the shadow it cools. Fit a sine of every period between
    80 and 120 minutes to the channel, first every 10 s, then near the best one finely enough that the phase is right
    at both ends of the data: the best one is the length of the orbit. Folded at that period, all orbits
    lie on one another, and what is left is what the Sun does not explain: that is the curve to watch for drifts.
    """)
    return


@app.function
def sine_fit(seconds: np.ndarray, values: np.ndarray, periods: np.ndarray) -> tuple[float, np.ndarray]:
    """The period whose sine with a constant leaves the least squares, and the fitted values."""
    fits = []
    for period in periods:
        phase = 2 * np.pi * seconds / period
        terms = np.column_stack([np.ones_like(phase), np.cos(phase), np.sin(phase)])
        fitted = terms @ np.linalg.lstsq(terms, values, rcond=None)[0]
        fits.append((float(((values - fitted) ** 2).sum()), float(period), fitted))
    _, period, fitted = min(fits, key=lambda fit: fit[0])
    return period, fitted


@app.cell
def _(channel, definitions, lake):
    _minutes = envelope(lake, TABLE, channel.value, "1 minute")
    _seconds = (_minutes["start"] - _minutes["start"][0]).dt.total_seconds().to_numpy().astype(float)
    _values = _minutes["mean"].to_numpy()
    _about_s, _ = sine_fit(_seconds, _values, np.arange(80 * 60, 120 * 60, 10))
    orbit_s, _fitted = sine_fit(_seconds, _values, np.arange(_about_s - 10, _about_s + 10, 0.1))
    _label = labelled(definitions, TABLE, channel.value)
    residual = _values - _fitted
    _figure, (_left, _right) = plt.subplots(1, 2, figsize=(9, 3.2))
    _left.plot(_seconds % orbit_s / 60, _values, ".", ms=2, alpha=0.5)
    _left.set(
        xlabel=f"minutes into an orbit of {orbit_s / 60:.2f} min",
        ylabel=_label,
        title="All orbits on one another",
    )
    _right.plot(_minutes["start"], residual, lw=0.6)
    _right.set(xlabel="UTC", ylabel=_label, title=f"What is left: standard deviation {residual.std():.2g}")
    _figure
    return orbit_s, residual


if __name__ == "__main__":
    app.run()
