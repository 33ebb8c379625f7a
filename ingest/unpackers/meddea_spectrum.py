# SPDX-License-Identifier: Apache-2.0
"""MeDDEA spectrum packets: each of the 24 slots is a pixel id word followed by its 512 bins."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ingest.unpack import Column
from ingest.unpackers import Extra

SLOT_WORDS = 513


def unpack(
    data: NDArray[np.uint8], offsets: NDArray[np.int64], lengths: NDArray[np.int64], columns: dict[str, Column]
) -> Extra:
    """Packet columns `pixel_id` [n, slots] and `counts` [n, slots * 512], from the field `slots`."""
    slots = np.asarray(columns.pop("slots")).reshape(len(offsets), -1, SLOT_WORDS)
    return Extra({"pixel_id": slots[:, :, 0], "counts": slots[:, :, 1:].reshape(len(offsets), -1)})
