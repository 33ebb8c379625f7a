# SPDX-License-Identifier: Apache-2.0
"""A lake with published files of three products, folders as recipients, and looking at what they got.

`toy.box_l1_tick` flies and rests on no assumption, `toy.crate_l1_tick` is of an instrument that is assumed. What the
files hold does not matter to delivery, so they are a few words each.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from exports.delivery.nouns import Delivered
from exports.delivery.run import deliver
from exports.delivery.settings import DeliverySettings
from lake.definition_files import read_definitions
from lake.ledger import read_ops
from lake.store import Journal, Lake
from lake.tables import append_ops
from tests.exports.conftest import MEDDEA, PADRE
from tests.toy import write_missions
from tests.toy_product import PART, PRODUCT, add, edit

NOW = datetime(2026, 8, 1, 2, tzinfo=UTC)
DAYS = date(2024, 9, 16), date(2024, 9, 17), date(2024, 9, 18)
BOX, CRATE = "toy.box_l1_tick", "toy.crate_l1_tick"
NOON = 779_760_069_184_000_000  # TT2000 of 2024-09-16T12:00:00Z: 9025 days of 86400 s, and TT - UTC = 69.184 s, by hand


def write_definitions(folder: Path) -> Path:
    """The toy's instrument with a product, and the same one as an instrument that is assumed."""
    missions = write_missions(folder / "missions")
    box, crate = missions / "toy" / "box", missions / "toy" / "crate"
    edit(box / "tables.yaml", "part: {size: 2, first: 0, step: 1, type: int16, description: Part, label: Part}", PART)
    (box / "calibration/parts_20240101.csv").write_text("centre,below,above\n1,0.5,0.5\n2,0.5,1.5\n")
    add(box.parent / "mission.yaml", cdf=PADRE.cdf | {"Source_name": "TOY>A mission for tests"})
    add(box / "instrument.yaml", cdf=MEDDEA.cdf | {"Descriptor": "BOX>A box"})
    (box / "cdf.yaml").write_text(yaml.safe_dump({"products": {"box_l1_tick": PRODUCT}}))
    for path in sorted(box.rglob("*.*")):
        target = crate / path.relative_to(box)
        target.parent.mkdir(parents=True, exist_ok=True)
        text = path.read_text().replace("box", "crate").replace("BOX", "CRATE")
        target.write_text(text.replace("status: flying", "status: assumed\nstatus_reason: Nobody has seen one."))
    names = missions / "toy" / "names.yaml"
    line = next(line for line in names.read_text().splitlines() if line.startswith("  box: {"))
    edit(names, line, f"{line}\n  crate: {{short_name: crate}}")
    return missions


def stage(folder: Path) -> Lake:
    """The lake with one version of each product on each day."""
    lake = empty_stage(folder)
    for product in (BOX, CRATE):
        publish(lake, *((product, day, "1.0.0") for day in DAYS))
    return lake


def empty_stage(folder: Path) -> Lake:
    """The lake without a product."""
    return Lake(folder / "lake", read_definitions(write_definitions(folder)))


def publish(lake: Lake, *versions: tuple[str, date, str], run: str = "run-1", deliverable: bool = True) -> None:
    """Publish files as an export does: file, version in the journal, row in ops.exports."""
    rows = []
    for product, day, version in versions:
        stem = f"{product.replace('.', '_').replace('_l1_', '_l1-')}_{day:%Y%m%d}_v{version}"
        key, content = f"exports/toy/{product.split('_')[0][4:]}/l1/{day:%Y}/{stem}.cdf", stem.encode() * 20
        lake.storage.put_new(key, content)
        facts = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest(), "records": 3}
        Journal(lake).write_once("versions", stem, facts)
        epochs = {"first_epoch_tt2000": NOON, "last_epoch_tt2000": NOON + 1_500_000_000}
        row = {"product": product, "day": day, "version": version, "path": key, "parents": "[]", "created_at": NOW}
        state = {
            "run_id": run,
            "status": "published",
            "fingerprint": "",
            "code_version": "",
            "deliverable": deliverable,
        }
        rows.append(row | facts | epochs | state)
    append_ops(lake, "exports", rows)


def settings(
    folder: Path, names: tuple[str, ...] = ("spdf",), also: Mapping[str, Any] | None = None, **facts: Any
) -> DeliverySettings:
    """Recipients that are folders; by default each gets the newest version of all files of the box."""
    for name in names:
        (folder / name).mkdir(exist_ok=True)
    send = {"send": [{"products": [BOX]}]}
    recipients = {name: {"folder": {"path": folder / name}, **send, **facts} for name in names}
    return DeliverySettings.model_validate({"lake": str(folder / "lake"), "recipients": recipients, **(also or {})})


def run(lake: Lake, wanted: DeliverySettings, hours: float = 0, **options: Any) -> Delivered:
    """A run of delivery, some hours after the first one, without pauses."""
    return deliver(lake, wanted, NOW + timedelta(hours=hours), pauses=(0, 0), **options)


def path_of(product: str, day: date, version: str = "1.0.0") -> str:
    """Where a recipient with the default layout has a file."""
    instrument = product.split("_", maxsplit=1)[0][4:]
    dataset = product.replace(".", "_").replace("_l1_", "_l1-")
    return f"toy/{instrument}/{dataset}/{day:%Y}/{dataset}_{day:%Y%m%d}_v{version}.cdf"


def products_at(folder: Path) -> list[str]:
    """Paths of the products that a recipient has."""
    return sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*.cdf") if path.parent.name != "masters"
    )


def manifests(folder: Path) -> list[dict[str, Any]]:
    """All manifests that a recipient has, in order."""
    return [json.loads(path.read_text()) for path in sorted((folder / "manifests").glob("*.json"))]


def feed(folder: Path) -> list[tuple[str, str]]:
    """Change and path of each line of the feed."""
    lines = [json.loads(line) for line in (folder / "changes.jsonl").read_text().splitlines()]
    return [(line["change"], line["path"]) for line in lines]


def events(lake: Lake, recipient: str = "spdf") -> list[tuple[str, str]]:
    """Event and path of each row of ops.deliveries about a recipient, in order."""
    rows = read_ops(lake, "deliveries").filter(recipient=recipient).sort("entry", maintain_order=True)
    return list(rows.select("event", "path").iter_rows())
