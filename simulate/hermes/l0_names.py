# SPDX-License-Identifier: Apache-2.0
"""Names of HERMES' L0 files, as the mission operations center gives them."""

from __future__ import annotations

import numpy as np

from lake.clock import NS, unix_ns_from_tt2000


def l0_name(target: str, tt2000: int) -> str:
    """The name of a file by the UTC of its first packet: `hermes_MERIT_l0_2026213-120000_v0.bin`."""
    second = np.datetime64(int(unix_ns_from_tt2000(tt2000)) // NS, "s").item()
    return f"hermes_{target}_l0_{second:%Y%j-%H%M%S}_v0.bin"
