# SPDX-License-Identifier: Apache-2.0
"""The lake in numbers for Prometheus: its last night, figures, newest data; and the machine that it lies on.

Names follow Prometheus' conventions: base units, `_seconds` and `_bytes`, a timestamp where an age is meant. All are
gauges, made anew each time from the books. What is not known is left out; a zero would be believed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily

from lake.clock import unix_ns_from_tt2000
from lake.health import PREFIX
from lake.reading import scan
from monitor.site import places
from monitor.site.facts import Facts
from monitor.site.figures import Figures, Night, figures
from monitor.site.page import Asset

MEMORY = Path("/proc/meminfo")  # of Linux, in KiB: proc_meminfo(5)
SEVERITIES = ("red", "yellow")  # that none are open is known, so it is told
EPOCH = "epoch_tt2000"


@dataclass(frozen=True, eq=False)  # a registry keeps collectors as keys
class _Told:
    """A collector of what is already known."""

    families: tuple[GaugeMetricFamily, ...]

    def collect(self) -> Iterable[GaugeMetricFamily]:
        return self.families


def lake_metrics(facts: Facts) -> bytes:
    """The lake in the text format of Prometheus. Raises TableError if the books cannot be read."""
    known = figures(facts)
    return _exposition(*_night(known.last_night), *_quality(known), *_stock(facts))


def machine_metrics(root: Path | str) -> bytes:
    """The machine as it is now: disk of a lake in a folder, memory, load. What it does not tell is left out."""
    return _exposition(*_machine(root))


def _exposition(*families: GaugeMetricFamily) -> bytes:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Told(families))
    return generate_latest(registry)


def parts(facts: Facts) -> Iterator[Asset]:
    """They as a file of the site, for whoever serves it."""
    body = lake_metrics(facts)
    yield Asset(places.METRICS, hashlib.sha256(body).hexdigest(), lambda: body)


def _gauge(name: str, about: str, value: float | None) -> GaugeMetricFamily:
    """One number; nothing if it is not known."""
    return GaugeMetricFamily(f"{PREFIX}_{name}", about, value=value)


def _gauges(name: str, about: str, label: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    """A number for each value of a label."""
    family = GaugeMetricFamily(f"{PREFIX}_{name}", about, labels=[label])
    for word, value in values.items():
        family.add_metric([word], value)
    return family


def _night(night: Night | None) -> Iterator[GaugeMetricFamily]:
    began = "When the last night that came to its end began, in Unix seconds"
    yield _gauge("night_last_timestamp_seconds", began, night.started_at.timestamp() if night else None)
    stages = {stage.name: stage for stage in night.stages} if night else {}
    seconds = {name: stage.seconds for name, stage in stages.items()}
    yield _gauges("night_seconds", "Wall time of each stage of the last night", "stage", seconds)
    failed = {name: float(stage.state == "failed") for name, stage in stages.items()}
    about = "1 if a stage of the last night quarantined or refused something, or failed, else 0"
    yield _gauges("night_stage_failed", about, "stage", failed)


def _quality(known: Figures) -> Iterator[GaugeMetricFamily]:
    over = "over the last 30 days with data"
    yield _gauges(
        "open_alerts", "Alerts that are open", "severity", dict.fromkeys(SEVERITIES, 0) | dict(known.open_alerts)
    )
    yield _gauge("acknowledged_alerts", "Alerts that somebody looks after", known.acknowledged_alerts)
    yield _gauges("table_days", "Table-days by state", "state", known.table_days)
    yield _gauge("failed_runs", "Table-days whose last run failed", known.failed_runs)
    yield _gauge("late_files", f"Raw files that came late, {over}", known.late_files)
    yield _gauge("completeness_ratio", f"Packets received of those expected, {over}", known.completeness)
    yield _gauge(
        "silent_days", f"Days without a packet of an APID that came before and after, {over}", known.silent_days
    )
    yield _gauge("packets_missing", f"Packets unaccounted for, {over}", known.packets_missing)
    quantiles = {"0.5": known.latency_p50_s, "0.95": known.latency_p95_s}
    latency = {name: value for name, value in quantiles.items() if value is not None}
    yield _gauges("latency_seconds", f"From observation to availability at level 1, {over}", "quantile", latency)
    yield _gauge(
        "quarantined_stretches", f"Stretches of bytes that were not decoded, {over}", known.quarantined_stretches
    )
    yield _gauge("quarantined_bytes", f"Bytes that were not decoded, {over}", known.quarantined_bytes)
    passed = {"true": known.products_passed, "false": known.products - known.products_passed}
    yield _gauges(
        "products", f"Product-days by whether they hold all rules and were exported, {over}", "passed", passed
    )


def _stock(facts: Facts) -> Iterator[GaugeMetricFamily]:
    files = facts.ops("files")
    yield _gauge("raw_files", "Raw files in the archive", files.height)
    yield _gauge("raw_bytes", "Bytes of these files", int(files["bytes"].sum()))
    newest = GaugeMetricFamily(
        f"{PREFIX}_newest_data_timestamp_seconds",
        "Time of the newest row of a table, in Unix seconds",
        labels=["mission", "table"],
    )
    for address, seconds in _newest(facts):
        newest.add_metric(address.split(".", 1), seconds)
    yield newest


def _newest(facts: Facts) -> Iterable[tuple[str, float]]:
    """Address of each table and the newest time in it that a check has measured, in Unix seconds."""
    newest = (
        scan(facts.lake, facts.lake.ops("metrics"))
        .filter((pl.col("column_name") == EPOCH) & (pl.col("metric") == "max"))
        .sort("day", "run_id")
        .group_by("table_name")
        .agg(pl.col("value").last())
        .sort("table_name")
        .collect()
    )
    times = unix_ns_from_tt2000(newest["value"].cast(pl.Int64).to_numpy()) / 1e9
    return zip(newest["table_name"], times.tolist(), strict=True)


def _machine(root: Path | str) -> Iterator[GaugeMetricFamily]:
    """What the machine has left. A lake in object storage has no disk that could be full."""
    if isinstance(root, Path) and root.is_dir():
        disk = shutil.disk_usage(root)
        yield _gauge("machine_disk_free_bytes", "Free space where the lake lies", disk.free)
        yield _gauge("machine_disk_size_bytes", "Size of the disk where the lake lies", disk.total)
    memory = _memory()
    yield _gauge("machine_memory_available_bytes", "Memory that programs can still have", memory.get("MemAvailable"))
    yield _gauge("machine_memory_size_bytes", "Memory of the machine", memory.get("MemTotal"))
    yield _gauge("machine_load5", "Processes that ran or wanted to, the mean over 5 minutes", os.getloadavg()[1])
    yield _gauge("machine_cpus", "Processors", os.cpu_count())


def _memory() -> dict[str, int]:
    """Bytes by the kernel's names; nothing where there is no such kernel."""
    if not MEMORY.is_file():
        return {}
    fields = (line.split() for line in MEMORY.read_text().splitlines())
    return {words[0].rstrip(":"): int(words[1]) * 1024 for words in fields if len(words) == 3}
