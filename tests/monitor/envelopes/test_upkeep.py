# SPDX-License-Identifier: Apache-2.0
"""What can be made again at any time is neither checked nor copied, and what keeps the lake leaves it alone."""

from __future__ import annotations

import time

import numpy as np

from lake.backup.contents import contents, pin
from lake.maintenance import maintain
from lake.store import Lake
from monitor.envelopes.making import make_envelopes
from swxlake.fsck import fsck
from tests.monitor.envelopes.box import every, write

MADE = ("envelopes/", "site/")


def made(lake: Lake) -> list[str]:
    return [entry.key for place in MADE for entry in lake.storage.entries(place)]


def test_fsck_upkeep_and_backup_pass_by_envelopes_and_site(box: Lake) -> None:
    write(box, every(10, 8640), np.zeros(8640))
    before = fsck(box).problems
    make_envelopes(box)
    box.storage.publish("site/index.html", b"<!doctype html>", "text/html")
    there = made(box)
    assert len(there) == 3
    assert fsck(box).problems == before
    kept = maintain(box, retention_days=1, now=time.time() + 10 * 86_400)
    assert made(box) == there
    assert not [entry for entry in (*kept.removed, *kept.leftovers) if entry.key.startswith(MADE)]
    copied = [item.key for item in contents(box, pin(box), {})]
    assert any(key.startswith("tables/") for key in copied)
    assert not [key for key in copied if key.startswith(MADE)]
