# SPDX-License-Identifier: Apache-2.0
"""An energetic-particle event at HERMES: four instruments on one time axis, a shock, and the onset of the particles."""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="An energetic-particle event")

with app.setup:
    import os
    from datetime import datetime, timedelta
    from pathlib import Path

    import marimo as mo
    import matplotlib.pyplot as plt
    import numpy as np
    import polars as pl
    from lake.catalog import connect

    FOLDER = Path(__file__).parent
    plt.style.use(FOLDER / "style.mplstyle")
    AROUND = timedelta(minutes=20)  # of the steepest rise of the protons, in all pictures
    STEP = timedelta(seconds=10)  # of the means that are compared


@app.cell(hide_code=True)
def _():
    mo.md("""
    # An energetic-particle event

    A shock wave runs through the solar wind. Where it passes, the wind is denser, faster and hotter, and its
    magnetic field stronger: EEA (electrons), SPAN-I (ions) and NEMISIS (field) see a step. Particles that were
    accelerated to mega-electronvolts are another matter: MERiT sees how their flux rises by orders of magnitude.
    The four instruments have four clocks and four cadences. On one time axis they tell one story.
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

    The minute of the newest day in which the flux of protons grew by the largest factor over five minutes.
    """)
    return


@app.cell
def _(lake):
    steepest = lake.sql(
        """
        WITH minute AS (
            SELECT time_bucket(INTERVAL 1 MINUTE, time) AS minute, avg(list_avg(proton_flux)) AS flux
            FROM hermes.merit_l2_flux
            WHERE day = (SELECT max(day) FROM ops.table_days WHERE table_name = 'hermes.merit_l2_flux')
            GROUP BY minute
        ),
        earlier AS (
            SELECT minute, flux, lag(flux, 5) OVER (ORDER BY minute) AS flux_before FROM minute
        )
        SELECT minute FROM earlier WHERE flux_before > 0 ORDER BY flux / flux_before DESC LIMIT 1
        """
    ).fetchall()
    mo.stop(
        not steepest, mo.md("**There is no flux of MERiT in this lake.** `make demo` makes half an hour of HERMES.")
    )
    window = {"start": steepest[0][0] - AROUND, "stop": steepest[0][0] + AROUND}
    return (window,)


@app.function
def rows_of(lake, table: str, columns: str, window: dict) -> pl.DataFrame:
    """Some columns of a table of HERMES in a window of time, in its order; a filter by day reads few files."""
    return lake.sql(
        f"""
        SELECT time, {columns} FROM hermes.{table}
        WHERE time >= $start AND time < $stop AND day BETWEEN $start::DATE AND $stop::DATE
        ORDER BY time
        """,  # noqa: S608  names of tables and columns, written below
        params=window,
    ).pl()


@app.function
def axis_of(lake, name: str) -> np.ndarray:
    """The values along an axis of HERMES, such as `merit_axis_proton_energy`."""
    return lake.sql(f"SELECT value FROM hermes.{name} ORDER BY place").pl()["value"].to_numpy()  # noqa: S608


@app.function
def arrays_of(rows: pl.DataFrame, column: str, *shape: int) -> np.ndarray:
    """A list column as an array [row, ...]: lists are flat in SQL, and the last axis runs fastest. Nulls are NaN."""
    values = rows[column].explode(empty_as_null=False).cast(pl.Float64).fill_null(float("nan")).to_numpy()
    return values.reshape(len(rows), *shape)


@app.function
def binned(times: pl.Series, values: np.ndarray, start: datetime, stop: datetime) -> np.ndarray:
    """Means of values [n, ...] in steps of ten seconds; NaN where there is none, so that a gap stays a gap."""
    place = (times - start).dt.total_microseconds().to_numpy() // round(STEP.total_seconds() * 1e6)
    valid = np.isfinite(values)
    sums = np.zeros(((stop - start) // STEP, *values.shape[1:]))
    counts = np.zeros_like(sums)
    np.add.at(sums, place, np.where(valid, values, 0))
    np.add.at(counts, place, valid)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## Load it

    Lists of SQL become arrays with axes: two heads of MERiT by energy, 41 energies of EEA by 128 directions, 32
    energies of SPAN-I between azimuths and deflections. Means over directions, in steps of ten seconds.
    """)
    return


@app.cell
def _(lake, window):
    protons_mev, electrons_mev = axis_of(lake, "merit_axis_proton_energy"), axis_of(lake, "merit_axis_electron_energy")
    eea_ev, spani_ev = axis_of(lake, "eea_axis_energy"), axis_of(lake, "spani_axis_energy")

    def _means(table, column, *shape, over=()):
        rows = rows_of(lake, table, column, window)
        values = arrays_of(rows, column, *shape)
        for place in over:
            seen = np.isfinite(values)
            values = np.where(seen, values, 0).sum(axis=place) / np.maximum(seen.sum(axis=place), 1)
        return binned(rows["time"], values, window["start"], window["stop"])

    proton_flux = _means("merit_l2_flux", "proton_flux", 2, len(protons_mev), over=(1,))
    electron_flux = _means("merit_l2_flux", "electron_flux", 2, len(electrons_mev), over=(1,))
    eea_flux = _means("eea_l2_flux", "energy_flux", len(eea_ev), 128, over=(2,))
    spani_flux = _means("spani_l2_flux", "h_eflux", 16, len(spani_ev), 8, over=(3, 1))
    field = _means("nemisis_l3_ambient", "b_bus_nt", 3)
    _moments = {
        "ions": rows_of(
            lake, "spani_l2_moments", "h_density_cm3 + 2 * he_density_cm3 AS density, h_speed_km_s", window
        ),
        "electrons": rows_of(lake, "eea_l2_moments", "density_cm3 AS density", window),
    }
    plasma = {
        f"{name} {column}": binned(
            rows["time"], rows[column].cast(pl.Float64).to_numpy(), window["start"], window["stop"]
        )
        for name, rows in _moments.items()
        for column in rows.columns[1:]
    }
    plasma["field"] = np.linalg.norm(field, axis=1)
    times = np.array([window["start"] + i * STEP for i in range(len(field))])
    return eea_ev, eea_flux, electron_flux, electrons_mev, plasma, proton_flux, protons_mev, spani_ev, spani_flux, times


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## The shock

    At a shock everything jumps at once. Compare the mean of the two minutes before each moment with that of the two
    minutes after it: the ratio is largest at the shock. Density and field grow by about the same factor where the
    field is along the shock front, and by no more than 4: that is the most a strong shock can compress a gas
    (Rankine and Hugoniot).
    """)
    return


@app.function
def jump(values: np.ndarray, span: int = 12) -> tuple[int, float]:
    """Where the ratio of means after and before is largest, and the ratio; `span` means on each side are needed."""
    windows = np.lib.stride_tricks.sliding_window_view(values, 2 * span)
    complete = np.isfinite(windows).sum(axis=1) >= 1.5 * span
    before, after = (
        np.nanmean(np.where(np.isfinite(w), w, np.nan)[complete], axis=1)
        for w in (windows[:, :span], windows[:, span:])
    )
    best = int(np.argmax(after / before))
    return int(np.flatnonzero(complete)[best]) + span, float((after / before)[best])


@app.cell
def _(plasma, times):
    jumps = {name: jump(values) for name, values in plasma.items()}
    shock_time = times[round(float(np.median([place for place, _ in jumps.values()])))]
    density_ratio = jumps["electrons density"][1]
    field_ratio = jumps["field"][1]
    speed_ratio = jumps["ions h_speed_km_s"][1]
    mo.ui.table(
        [
            {"quantity": name, "shock at": f"{times[place]:%H:%M:%S}", "factor": round(ratio, 2)}
            for name, (place, ratio) in jumps.items()
        ],
        selection=None,
        label=f"The shock passed at {shock_time:%Y-%m-%d %H:%M:%S} UTC.",
    )
    return density_ratio, field_ratio, jumps, shock_time, speed_ratio


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## The onset

    A channel has risen when three means in a row lie more than four standard deviations above its quiet mean, that
    of the first five minutes of the picture. Particles from far away arrive sorted: the fast ones first. If all
    energies rise at once, they were accelerated nearby, or have been travelling along with what carried them.
    """)
    return


@app.function
def onset(flux: np.ndarray, quiet: int = 30, in_a_row: int = 3) -> int | None:
    """The place of the first of some means in a row that are 4 standard deviations above the quiet ones, if any is."""
    start = int(np.argmax(np.isfinite(flux)))
    calm = flux[start : start + quiet]
    above = np.isfinite(flux) & (flux > np.nanmean(calm) + 4 * np.nanstd(calm))
    runs = np.lib.stride_tricks.sliding_window_view(above, in_a_row).all(axis=1)
    found = np.flatnonzero(runs[start + quiet :])
    return int(found[0]) + start + quiet if len(found) else None


@app.cell
def _(electron_flux, electrons_mev, proton_flux, protons_mev, times):
    onsets = [
        {"species": species, "energy_mev": float(energy), "onset": times[place]}
        for species, energies, flux in (
            ("protons", protons_mev, proton_flux),
            ("electrons", electrons_mev, electron_flux),
        )
        for energy, column in zip(energies, flux.T, strict=True)
        if (place := onset(column)) is not None
    ]
    onset_time = min((row["onset"] for row in onsets), default=None)
    _all = {species: sum(row["species"] == species for row in onsets) for species in ("protons", "electrons")}
    _spread = max(row["onset"] for row in onsets) - onset_time if onsets else None
    mo.md(
        f"First rise at **{onset_time:%H:%M:%S}**; {_all['protons']} of {len(protons_mev)} proton channels and"
        f" {_all['electrons']} of"
        f" {len(electrons_mev)} electron channels rose, all within {_spread.total_seconds():.0f} s."
        if onsets
        else "No channel rose."
    )
    return onset_time, onsets


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## One time axis

    From above: protons and electrons of MERiT, from low energy (dark) to high (light); the energy flux of electrons
    (EEA) and of protons (SPAN-I); density by both, which should agree, for a plasma is neutral; speed; field. Solid
    line: the shock. Dashed: the onset.
    """)
    return


@app.cell
def _(
    eea_ev,
    eea_flux,
    electron_flux,
    electrons_mev,
    onset_time,
    plasma,
    proton_flux,
    protons_mev,
    shock_time,
    spani_ev,
    spani_flux,
    times,
):
    _figure, _axes = plt.subplots(7, 1, figsize=(9, 13), sharex=True, height_ratios=(2, 2, 2, 2, 1.4, 1, 1))
    for _axis, _flux, _mev, _name in (
        (_axes[0], proton_flux, protons_mev, "protons"),
        (_axes[1], electron_flux, electrons_mev, "electrons"),
    ):
        for _place, _color in enumerate(plt.get_cmap("viridis")(np.linspace(0, 0.9, len(_mev)))):
            _label = f"{_mev[_place]:.3g} MeV" if _place in (0, len(_mev) - 1) else None
            _axis.plot(
                times, np.where(_flux[:, _place] > 0, _flux[:, _place], np.nan), color=_color, lw=0.9, label=_label
            )
        _axis.set(yscale="log", ylabel=f"{_name}\n[1/(cm$^2$ s sr MeV)]")
        _axis.legend(loc="upper left", ncols=2)
    for _axis, _flux, _ev, _name in (
        (_axes[2], eea_flux, eea_ev, "electrons"),
        (_axes[3], spani_flux, spani_ev, "protons"),
    ):
        _order = np.argsort(_ev)
        _shown = np.where(_flux > 0, _flux, np.nan).T[_order]
        _mesh = _axis.pcolormesh(times, _ev[_order], _shown, norm="log", shading="nearest", rasterized=True)
        _figure.colorbar(_mesh, ax=_axis, label="eV/(cm$^2$ s sr eV)", pad=0.01)
        _axis.set(yscale="log", ylabel=f"{_name}\n[eV]")
        _axis.set_ylim(_ev[np.isfinite(_shown).any(axis=1)[np.argsort(_order)]].min(), None)
        _axis.grid(visible=False)
    _axes[4].plot(times, plasma["electrons density"], label="electrons (EEA)")
    _axes[4].plot(times, plasma["ions density"], label="charges of ions (SPAN-I)")
    _axes[4].set_ylabel("density\n[1/cm$^3$]")
    _axes[4].legend(loc="lower right", ncols=2)
    _axes[5].plot(times, plasma["ions h_speed_km_s"])
    _axes[5].set_ylabel("speed\n[km/s]")
    _axes[6].plot(times, plasma["field"])
    _axes[6].set_ylabel("|B|\n[nT]")
    for _axis in _axes:
        _axis.axvline(shock_time, color="#666666", lw=0.9)
        if onset_time is not None:
            _axis.axvline(onset_time, color="#666666", lw=0.9, ls="--")
    _seen = np.flatnonzero(np.isfinite(proton_flux).any(axis=1))
    _axes[0].set_xlim(times[_seen[0]], times[_seen[-1]])
    _figure.align_ylabels(_axes)
    _axes[-1].set_xlabel(f"UTC, {shock_time:%Y-%m-%d}")
    _axes[0].set_title("An energetic-particle event at HERMES, means of 10 s")
    _figure
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## How hard is it?

    The spectrum of protons in the last five minutes, less the quiet one, on two logarithmic axes: a power law is a
    straight line, and its slope says how much of the event is at the energies that harm electronics and people.
    """)
    return


@app.cell
def _(proton_flux, protons_mev):
    _seen = np.flatnonzero(np.isfinite(proton_flux).any(axis=1))
    _event = np.nanmean(proton_flux[_seen[-30:]], axis=0) - np.nanmean(proton_flux[_seen[:30]], axis=0)
    _used = _event > 0
    _line = np.polyfit(np.log(protons_mev[_used]), np.log(_event[_used]), 1)
    proton_index = float(-_line[0])
    _figure, _axis = plt.subplots(figsize=(6, 3.5))
    _axis.plot(protons_mev[_used], _event[_used], "o", label="protons")
    _axis.plot(protons_mev, np.exp(np.polyval(_line, np.log(protons_mev))), label=f"E$^{{-{proton_index:.1f}}}$")
    _axis.set(
        xscale="log", yscale="log", xlabel="energy [MeV]", ylabel="1/(cm$^2$ s sr MeV)", title="The event's protons"
    )
    _axis.legend()
    _figure
    return (proton_index,)


if __name__ == "__main__":
    app.run()
