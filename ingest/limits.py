# SPDX-License-Identifier: Apache-2.0
"""How far packets count, and how much a packet may be that was joined from parts."""

from __future__ import annotations

SEQUENCE_COUNTS = 1 << 14  # CCSDS 133.0-B-2, 4.1.3.4: the packet sequence count has 14 bits
# Of one joined packet: parts that never end must not fill the memory. missions/columns.csv has both as ranges.
MOST_BYTES = 1 << 26
MOST_PARTS = 1 << 16
