# SPDX-License-Identifier: Apache-2.0
"""A flare in MeDDEA: when it was, whether its hard X-rays came first, how hot it was, and its photons one by one."""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="A flare in MeDDEA")

with app.setup:
    import os
    from datetime import timedelta
    from pathlib import Path

    import marimo as mo
    import matplotlib.pyplot as plt
    import numpy as np
    import polars as pl
    from lake.catalog import connect

    FOLDER = Path(__file__).parent
    plt.style.use(FOLDER / "style.mplstyle")
    BEFORE, AFTER = timedelta(minutes=10), timedelta(minutes=20)  # of the flare's peak, in all pictures


@app.cell(hide_code=True)
def _():
    mo.md("""
    # A flare in MeDDEA

    In a solar flare, magnetic energy becomes fast electrons and hot plasma within minutes. Where the electrons hit
    the dense lower atmosphere they make **hard** X-rays, above some 15 keV, while they arrive. The gas that they
    heat rises into loops and glows in **soft** X-rays, below 10 keV, for many minutes. MeDDEA sees both.
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
    ## Find it

    The brightest minute of the newest day with a light curve. A mean over a minute, not a single spectrum: a
    particle that hits the detector makes one bright spectrum, a flare makes many.

    When it begins is a matter of the rule. Here it is when the running mean of 70 s at all energies rises above the
    noise for good: the mean knows of a rise half of its length before, so the true begin is up to a minute or two
    later. `sql/queries/flare_candidates.sql` names the first whole minute with five times the day's usual soft X-rays:
    never before the flare, up to minutes after its begin. Lists of flares by other observatories have other rules.
    """)
    return


@app.cell
def _(lake):
    brightest = lake.sql(
        """
        SELECT time_bucket(INTERVAL 1 MINUTE, time) AS minute
        FROM padre.meddea_ql_lightcurve
        WHERE day = (SELECT max(day) FROM ops.table_days WHERE table_name = 'padre.meddea_ql_lightcurve')
        GROUP BY minute
        ORDER BY avg(rate_5_10_kev) DESC
        LIMIT 1
        """
    ).fetchall()
    mo.stop(not brightest, mo.md("**There is no light curve in this lake.** `make demo` makes a day of MeDDEA."))
    window = {"start": brightest[0][0] - BEFORE, "stop": brightest[0][0] + AFTER}
    return (window,)


@app.cell
def _(lake, window):
    curve = lake.sql(
        """
        SELECT
            time,
            rate_5_10_kev AS soft,
            rate_5_10_kev_uncertainty AS soft_uncertainty,
            rate_10_15_kev AS middle,
            rate_15_25_kev + rate_25_50_kev AS hard,
            sqrt(rate_15_25_kev_uncertainty ^ 2 + rate_25_50_kev_uncertainty ^ 2) AS hard_uncertainty,
            rate_5_10_kev + rate_10_15_kev + rate_15_25_kev + rate_25_50_kev + rate_50_100_kev AS total
        FROM padre.meddea_ql_lightcurve
        WHERE time >= $start AND time < $stop AND day BETWEEN $start::DATE AND $stop::DATE AND quality_flag = 0
        ORDER BY time
        """,
        params=window,
    ).pl()
    return (curve,)


@app.function
def smoothed(rates: pl.Series, spectra: int = 7) -> np.ndarray:
    """A running mean of rates, over seventy seconds unless told: shorter than a flare, longer than its noise."""
    return rates.rolling_mean(spectra, min_samples=1, center=True).to_numpy()


@app.function
def times_of(curve: pl.DataFrame) -> dict:
    """When the flare began, peaked and had fallen to half: of all rates, and when the hard ones peaked.

    It begins when the running mean of seventy seconds is five standard deviations above that of the first five minutes,
    and stays there: up to half of these seconds before the first photon more, and earlier where a rise is slow.
    """
    total, middle = smoothed(curve["total"]), curve["time"] + timedelta(seconds=5)  # time is the start of a spectrum
    quiet = curve.filter(pl.col("time") < curve["time"][0] + timedelta(minutes=5))["total"]
    peak = int(np.argmax(total))
    level, half = quiet.mean() + 5 * quiet.std() / np.sqrt(7), (total[peak] + quiet.mean()) / 2
    below = np.flatnonzero(total[:peak] < level)
    after = np.flatnonzero(total[peak:] < half)
    return {
        "start": middle[int(below[-1]) + 1 if len(below) else 0],
        "peak": middle[peak],
        "half": middle[peak + int(after[0])] if len(after) else None,
        "hard_peak": middle[int(np.argmax(smoothed(curve["hard"], 5)))],
    }


@app.cell
def _(curve):
    times = times_of(curve)
    peak_time = times["peak"]
    hard_lead_s = (times["peak"] - times["hard_peak"]).total_seconds()
    mo.md(
        f"On {peak_time:%Y-%m-%d} it began at **{times['start']:%H:%M:%S}** UTC, peaked at **{peak_time:%H:%M:%S}**,"
        f" and the hard"
        f" X-rays peaked **{hard_lead_s:.0f} s** before all of them."
    )
    return hard_lead_s, peak_time, times


@app.cell
def _(curve, times):
    _figure, _axis = plt.subplots(figsize=(9, 4.5))
    for _name, _label, _color in (
        ("soft", "5-10 keV", "#0072B2"),
        ("middle", "10-15 keV", "#009E73"),
        ("hard", "15-50 keV", "#E69F00"),
    ):
        _axis.step(curve["time"], curve[_name].clip(lower_bound=0.03), where="post", color=_color, alpha=0.35, lw=0.8)
        _axis.plot(
            curve["time"] + timedelta(seconds=5), np.maximum(smoothed(curve[_name]), 0.03), color=_color, label=_label
        )
    for _name, _time in times.items():
        if _time is not None:
            _axis.axvline(_time, color="#666666", lw=0.8, ls="--" if _name == "hard_peak" else "-")
    _axis.set(xlabel=f"UTC, {times['peak']:%Y-%m-%d}", yscale="log", ylabel="count/s")
    _axis.set(title="The flare in three bands: spectra of 10 s, and their running mean")
    _axis.legend(ncols=3)
    _figure
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## Did the fast electrons heat it?

    If the hard X-rays come from the electrons that heat the gas, then the soft rate should grow as long as there
    are hard ones: its **slope** should look like the hard curve. This is the Neupert effect. The correlation of the
    two, until the peak, is a number for it: near 1 is as expected, near 0 says that the energy came another way.
    """)
    return


@app.cell
def _(curve, peak_time):
    _rise = curve.filter(pl.col("time") < peak_time)
    slope = np.gradient(smoothed(curve["soft"], 9), 10.0)
    hard = smoothed(curve["hard"], 9)
    neupert = float(np.corrcoef(slope[: len(_rise)], hard[: len(_rise)])[0, 1])
    _figure, _axis = plt.subplots(figsize=(9, 3))
    _axis.plot(curve["time"], slope / np.nanmax(slope), label="slope of 5-10 keV")
    _axis.plot(curve["time"], hard / np.nanmax(hard), label="15-50 keV")
    _axis.set(xlabel=f"UTC, {peak_time:%Y-%m-%d}", ylabel="part of its maximum")
    _axis.set(title=f"Neupert effect: correlation {neupert:.2f} until the peak")
    _axis.legend()
    _figure
    return (neupert,)


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## How hot was it?

    The spectrum of the minute around the peak, less that of the quiet minutes before. Thin hot gas of temperature T
    radiates photons by bremsstrahlung, about as exp(-E / kT) / E. So a straight line through the logarithm of rate
    times energy, from 6 to 10 keV, has the slope -1 / kT. Above, fast electrons add a flatter tail. The line is
    drawn through counts as the detector saw them, without its response: a first look. For a temperature that is to
    be published, take the CDF of the spectra into a spectral fit.
    """)
    return


@app.cell
def _(lake, peak_time, window):
    energies = lake.sql("SELECT value FROM padre.meddea_axis_energy ORDER BY place").pl()["value"].to_numpy()
    spectra = lake.sql(
        """
        SELECT time, live_time_s, counts
        FROM padre.meddea_l1_spectrum
        WHERE time >= $start AND time < $stop AND day BETWEEN $start::DATE AND $stop::DATE AND quality_flag = 0
        ORDER BY time
        """,
        params=window,
    ).pl()
    _counts = spectra["counts"].explode().to_numpy().reshape(len(spectra), -1, len(energies)).sum(axis=1)
    _live = spectra["live_time_s"].to_numpy()
    _at_peak = ((spectra["time"] - peak_time).abs() <= timedelta(seconds=30)).to_numpy()
    _before = (spectra["time"] < window["start"] + timedelta(minutes=5)).to_numpy()
    _width = energies[1] - energies[0]
    quiet_spectrum = _counts[_before].sum(axis=0) / _live[_before].sum() / _width
    flare_spectrum = _counts[_at_peak].sum(axis=0) / _live[_at_peak].sum() / _width - quiet_spectrum
    _uncertainty = np.sqrt(np.maximum(_counts[_at_peak].sum(axis=0), 1)) / _live[_at_peak].sum() / _width
    _fitted = (energies >= 6) & (energies <= 10) & (flare_spectrum > 0)
    _logs, _weights = np.log((flare_spectrum * energies)[_fitted]), (flare_spectrum / _uncertainty)[_fitted]
    _line = np.polyfit(energies[_fitted], _logs, 1, w=_weights)
    kt_kev = float(-1 / _line[0])
    temperature_mk = kt_kev * 11.604518  # 1 keV / k in 10^6 K (CODATA 2018)
    _figure, _axis = plt.subplots(figsize=(9, 4))
    _shown = (energies > 4) & (energies < 60)
    _axis.errorbar(
        energies[_shown],
        np.maximum(flare_spectrum, 1e-3)[_shown],
        _uncertainty[_shown],
        fmt="o",
        ms=2.5,
        lw=0.7,
        label="flare",
    )
    _axis.step(energies[_shown], quiet_spectrum[_shown], where="mid", color="#666666", lw=0.8, label="before")
    _hot = np.exp(np.polyval(_line, energies[_shown])) / energies[_shown]
    _axis.plot(energies[_shown], _hot, color="#D55E00", lw=1.2, ls="--")
    _axis.plot(energies[_fitted], _hot[_fitted[_shown]], color="#D55E00", lw=2.5, label=f"kT = {kt_kev:.2f} keV")
    _axis.set(xscale="log", yscale="log", ylim=(2e-3, None), xlabel="energy [keV]", ylabel="count/(s keV)")
    _axis.set_xticks([5, 10, 20, 50], ["5", "10", "20", "50"])
    _axis.xaxis.set_minor_formatter("")
    _axis.set_title(
        f"Spectrum at the peak: {temperature_mk:.0f} million kelvin, if the detector's response is left out"
    )
    _axis.legend()
    _figure
    return kt_kev, temperature_mk


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## Photon by photon

    MeDDEA also sends single photons. When there are too many it keeps one of 2, 4, ... and says so:
    `decimation_weight` photons stand behind each row, and a sum of weights is the number that was seen. The height
    of their pulse, less 200 to 250 DN for nothing, grows with their energy; `energy_kev` is null as long as no
    calibration of single photons is valid on that day. DuckDB makes the histogram; only the finished picture leaves
    the lake.
    """)
    return


@app.cell
def _(lake, window):
    photons = lake.sql(
        """
        SELECT
            time_bucket(INTERVAL 10 SECOND, time) AS bucket,
            atod // 25 AS bin,
            sum(decimation_weight) AS photons
        FROM padre.meddea_l1_photon
        WHERE time >= $start AND time < $stop AND day BETWEEN $start::DATE AND $stop::DATE AND atod BETWEEN 200 AND 1999
        GROUP BY ALL
        """,
        params=window,
    ).pl()
    _buckets = np.unique(photons["bucket"].to_numpy())
    _picture = np.full((80, len(_buckets)), np.nan)
    _picture[photons["bin"].to_numpy(), np.searchsorted(_buckets, photons["bucket"].to_numpy())] = photons["photons"]
    _figure, _axis = plt.subplots(figsize=(9, 3.5))
    if len(_buckets):
        _edges = np.append(_buckets, _buckets[-1] + np.timedelta64(10, "s"))
        _mesh = _axis.pcolormesh(_edges, np.arange(81) * 25, _picture, norm="log", rasterized=True)
        _figure.colorbar(_mesh, label="photons in 10 s")
    _axis.set(ylim=(200, 2000), xlabel="UTC", ylabel="pulse height [DN]", title="Photons by time and pulse height")
    _axis.grid(visible=False)
    _figure
    return (photons,)


if __name__ == "__main__":
    app.run()
